/** Alerts, as Prometheus takes them: what all concepts that have some declare them with. */
import { stringify } from "yaml";

/** What differs from one alert to the next. */
export interface Alert {
	alert: string;
	severity: "critical" | "warning";
	/** When it fires, PromQL. */
	expr: string;
	/** How long it has to be so, for example `30m`. */
	for: string;
	/** What a person must know at night, a sentence; Slack shows nothing else. */
	summary: string;
	/** What else helps, a sentence. */
	description: string;
	/** Where the runbook says what to do: its file and heading, for example `drift.md#a-stack-has-drifted`. */
	runbook: string;
}

export interface Rule {
	alert: string;
	expr: string;
	for: string;
	labels: { severity: "critical" | "warning" };
	annotations: { summary: string; description: string; runbook_url: string };
}

export interface RuleGroup {
	name: string;
	rules: Rule[];
}

/** A group of rules, as both a PrometheusRule and a rules file have it; `runbooks` is what the links begin with. */
export function ruleGroup(name: string, runbooks: string, alerts: Alert[]): RuleGroup {
	return {
		name,
		rules: alerts.map(({ alert, severity, expr, for: duration, summary, description, runbook }) => ({
			alert,
			expr,
			for: duration,
			labels: { severity },
			annotations: { summary, description, runbook_url: `${runbooks}/${runbook}` },
		})),
	};
}

export interface RulesPlace {
	/** How Prometheus takes its rules there. */
	rules: "PrometheusRule" | "ConfigMap";
	namespace: string;
}

/** The Kubernetes object of that name with the groups; a ConfigMap has them in a file `<name>.yml`. */
export function rulesObject(name: string, { rules, namespace }: RulesPlace, groups: RuleGroup[]) {
	const metadata = { name, namespace };
	return rules === "PrometheusRule"
		? { apiVersion: "monitoring.coreos.com/v1", kind: "PrometheusRule" as const, metadata, spec: { groups } }
		: {
				apiVersion: "v1" as const,
				kind: "ConfigMap" as const,
				metadata,
				data: { [`${name}.yml`]: stringify({ groups }) },
			};
}
