/** The alerts on the probe's metrics. */
import type { IntegritySettings } from "./args.ts";
import { METRIC, PROBE } from "./names.ts";

interface Rule {
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

const HOUR = 3600;

/** As both a PrometheusRule and a rules file have them. */
export function alertGroups({ namespace, runbooks }: Pick<IntegritySettings, "namespace" | "runbooks">): RuleGroup[] {
	const rule = (
		alert: string,
		severity: Rule["labels"]["severity"],
		expr: string,
		duration: string,
		summary: string,
		description: string,
		section: string,
	): Rule => ({
		alert,
		expr,
		for: duration,
		labels: { severity },
		annotations: {
			summary,
			description,
			runbook_url: `${runbooks}/registry-rebuild-image.md#${section}`,
		},
	});
	const probe = `job="${PROBE}"`;
	return [
		{
			name: "registry-integrity",
			rules: [
				rule(
					"RegistryManifestIntegrityFailure",
					"critical",
					`${METRIC}_failures > 0`,
					"30m",
					"Images in {{ $labels.instance }} are broken",
					"{{ $value }} pieces are missing or not what they should be; the probe's log names each of them.",
					"an-image-is-broken",
				),
				rule(
					"RegistryCatalogInaccessible",
					"critical",
					`${METRIC}_catalog_accessible == 0`,
					"15m",
					"{{ $labels.instance }} is not the registry it should be, or does not give its catalog",
					"The probe looked at nothing; its log says why.",
					"the-registry-can-not-be-looked-at",
				),
				rule(
					"RegistryIntegrityProbeStale",
					"warning",
					`time() - ${METRIC}_last_run_timestamp > ${HOUR}`,
					"15m",
					"The probe of {{ $labels.instance }} no longer runs",
					"It last ran {{ $value | humanizeDuration }} ago.",
					"the-probe-does-not-tell",
				),
				rule(
					"RegistryIntegrityProbeIncomplete",
					"warning",
					`time() - ${METRIC}_last_success_timestamp > ${HOUR}`,
					"15m",
					"The probe of {{ $labels.instance }} can't tell everything",
					"The last run that could look at all of it was {{ $value | humanizeDuration }} ago.",
					"the-probe-does-not-tell",
				),
				rule(
					"RegistryIntegrityProbeNeverRan",
					"warning",
					`absent(${METRIC}_last_run_timestamp)`,
					"1h",
					"There is no metric of the registry's integrity",
					"The probe never ran, or never reached the Pushgateway, or that one has lost what it knew.",
					"the-probe-does-not-tell",
				),
				rule(
					"PushgatewayAbsent",
					"warning",
					"absent(pushgateway_build_info)",
					"15m",
					"Prometheus does not see the Pushgateway",
					"What the probe finds reaches nobody.",
					"the-probe-does-not-tell",
				),
				rule(
					"RegistryIntegrityProbeJobFailing",
					"warning",
					`max(max_over_time(kube_job_status_failed{namespace="${namespace}", job_name=~"${PROBE}-.+"}[20m])) > 0`,
					"30m",
					"The probe's jobs fail",
					`kubectl --namespace ${namespace} logs --selector app=${PROBE} says why.`,
					"the-probe-does-not-tell",
				),
				rule(
					"RegistryIntegrityPushFailing",
					"warning",
					`push_failure_time_seconds{${probe}} > push_time_seconds{${probe}}`,
					"15m",
					"The Pushgateway refuses the probe's metrics",
					"Its log says why.",
					"the-probe-does-not-tell",
				),
				rule(
					"RegistryIntegrityPushStale",
					"warning",
					// By the Pushgateway's own clock, and of the group that every run replaces.
					`time() - push_time_seconds{${probe}, result=""} > ${HOUR}`,
					"15m",
					"The probe of {{ $labels.instance }} pushes no more",
					"The last push was {{ $value | humanizeDuration }} ago.",
					"the-probe-does-not-tell",
				),
				rule(
					"RegistryIntegrityCoverageDropped",
					"warning",
					`${METRIC}_repos_checked < 0.5 * max_over_time(${METRIC}_repos_checked[1d])`,
					"30m",
					"{{ $labels.instance }} has less than half of its repositories",
					"{{ $value }} were looked at; a day ago there were more than twice as many.",
					"repositories-are-gone",
				),
				rule(
					"RegistryIntegrityTimestampInFuture",
					"warning",
					`${METRIC}_last_run_timestamp - time() > 300`,
					"5m",
					"A clock is wrong: the probe's last run is in the future",
					"By {{ $value | humanizeDuration }}; until then, nobody notices that the probe no longer runs.",
					"the-probe-does-not-tell",
				),
			],
		},
	];
}
