/** Whether a Prometheus has really loaded the alerts that are declared: a ConfigMap that no chart mounts does nothing. */
import type { Rule, RuleGroup } from "./alertRules.ts";
import { askPrometheus } from "./prometheus.ts";

/** Of Prometheus' answer, what is compared. */
interface LoadedRule {
	name: string;
	query: string;
	/** In seconds. */
	duration: number;
	annotations: Record<string, string>;
	type: string;
}

/**
 * What is wrong with the declared alerts in the Prometheus at that URL, a sentence each; none where all of them are
 * loaded, once, and as they are declared. Throws an Error where Prometheus can't be asked.
 */
export async function ruleProblems(url: string, declared: RuleGroup[]): Promise<string[]> {
	const groups = await loaded(url);
	const problems: string[] = [];
	const missing: string[] = [];
	for (const rule of declared.flatMap(({ rules }) => rules)) {
		const found = groups.flatMap(({ file, rules }) =>
			rules.filter(({ type, name }) => type === "alerting" && name === rule.alert).map((one) => ({ ...one, file })),
		);
		if (found.length === 0) missing.push(rule.alert);
		else if (found.length > 1)
			problems.push(
				`the alert ${rule.alert} is loaded ${found.length} times, from ${found.map(({ file }) => file).join(" and ")}: people are told of one thing twice; take the one out that is not this project's`,
			);
		else if (!found.some((one) => isAsDeclared(one, rule)))
			problems.push(
				`the alert ${rule.alert} in ${found[0]?.file} is another one than is declared: Prometheus has not loaded the newest rules; reload it`,
			);
	}
	if (missing.length > 0)
		problems.unshift(
			`Prometheus has not loaded ${missing.length} of the alerts (${missing.join(", ")}): nobody would be told; does it mount the ConfigMap, and name its files in rule_files?`,
		);
	return problems;
}

/**
 * In which files the Prometheus at that URL has alerts of these names, by file. Throws an Error where Prometheus can't be
 * asked.
 */
export async function loadedFrom(url: string, names: string[]): Promise<Map<string, string[]>> {
	const found = (await loaded(url)).flatMap(({ file, rules }) =>
		rules.filter(({ type, name }) => type === "alerting" && names.includes(name)).map(({ name }) => ({ file, name })),
	);
	const files = Map.groupBy(found, ({ file }) => file);
	return new Map([...files].map(([file, all]) => [file, all.map(({ name }) => name)]));
}

function isAsDeclared({ query, duration, annotations }: LoadedRule, rule: Rule): boolean {
	// Prometheus prints an expression in its own way: other spaces, and labels in the order of the alphabet, as ours are.
	const plain = (expr: string) => expr.replace(/\s+/g, "");
	const summary = annotations["summary"] === rule.annotations.summary;
	return plain(query) === plain(rule.expr) && duration === seconds(rule.for) && summary;
}

function seconds(duration: string): number {
	const [, amount, unit] = /^(\d+)([smhd])$/.exec(duration) as RegExpExecArray;
	return Number(amount) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit as "s" | "m" | "h" | "d"];
}

async function loaded(url: string): Promise<{ file: string; rules: LoadedRule[] }[]> {
	type Answer = { groups: { file: string; rules: LoadedRule[] }[] };
	return (await askPrometheus<Answer>(url, "rules", "which alerts it has loaded")).groups;
}
