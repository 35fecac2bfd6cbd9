/** A drift report in words: for a terminal, for a comment, for Slack. */
import { escapeSlack } from "../slack.ts";
import type { StackMemory } from "./memory.ts";
import type { DriftedResource, StackReport } from "./report.ts";

const STATE = { clean: "is as declared", drift: "has drifted", error: "could not be looked at completely" };

/** Lines for a person at a terminal. */
export function inText(report: StackReport): string {
	const { stack, state, errors, notes, consequences, fixed, drifted } = report;
	return [
		`${stack} ${STATE[state]}`,
		...(fixed ? [`  ${fixed}`] : []),
		...errors.flatMap((error) => indented(`error: ${error}`)),
		...drifted.flatMap((resource) => [
			`  ${resource.action} ${resource.name} (${resource.type})${resource.accepted ? `: accepted, ${resource.accepted}` : ""}`,
			...resource.changes.flatMap(({ what, diff }) => [`    ${what}`, ...diff.map((line) => `      ${line}`)]),
		]),
		...(consequences.length > 0 ? [`  an update would run again: ${consequences.join(", ")}`] : []),
		...notes.flatMap((note) => indented(`note: ${note}`)),
	].join("\n");
}

/** A difference between Markdown's fences, which are longer than any in it. */
export function fenced(text: string): string {
	const ticks = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
	return `${ticks}diff\n${text}\n${ticks}`;
}

/** As a comment on a change, or in a pipeline's summary. */
export function inMarkdown(report: StackReport): string {
	const { stack, state, errors, notes, consequences, fixed, drifted } = report;
	return [
		`### Stack ${stack} ${STATE[state]}`,
		...(fixed ? [fixed] : []),
		...(errors.length > 0 ? [errors.map((error) => `- **error:** ${error.replaceAll("\n", "\n  ")}`).join("\n")] : []),
		...drifted.flatMap((resource) => [
			`**${resource.action} \`${resource.name}\`** (${resource.type})${resource.accepted ? `: accepted, ${resource.accepted}` : ""}`,
			...resource.changes.flatMap(({ what, diff }) => [what, ...(diff.length > 0 ? [fenced(diff.join("\n"))] : [])]),
		]),
		...(consequences.length > 0 ? [`An update would run again: ${consequences.join(", ")}`] : []),
		...(notes.length > 0 ? [notes.map((note) => `- ${note}`).join("\n")] : []),
	].join("\n\n");
}

/** The message in Slack about stacks whose state is new; `now` in seconds since 1970. It shows no content of a file. */
export function inSlack(
	news: { report: StackReport; memory: StackMemory }[],
	{ now, runbook }: { now: number; runbook: string },
): string {
	const lines = news.flatMap(({ report, memory: { firstSeen } }) => {
		const { stack, state, errors, drifted, fixed } = report;
		const since =
			firstSeen === undefined
				? ""
				: ` since ${new Date(firstSeen * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC (${((now - firstSeen) / 3600).toFixed(0)} h)`;
		const icon = { clean: ":white_check_mark:", drift: ":warning:", error: ":red_circle:" }[state];
		const again = state === "clean" && fixed === undefined ? " again" : "";
		return [
			`${icon} *Stack ${stack} ${STATE[state]}${again}*${since}`,
			...(fixed ? [escapeSlack(fixed)] : []),
			...errors.map((error) => `• ${escapeSlack(error.replace(/\s*\n\s*/g, " ").slice(0, 500))}`),
			...drifted
				.filter(({ accepted }) => accepted === undefined)
				.map((resource) => `• ${escapeSlack(short(resource))}`),
		];
	});
	const command = `npm run drift -- ${news.map(({ report }) => report.stack).join(" ")}`;
	const isOpen = news.some(({ report }) => report.state !== "clean");
	const wasTried = news.some(({ report }) => report.state === "drift" && report.fixed !== undefined);
	const next = wasTried
		? "shows each difference and what it needs, as `--fix` was not enough"
		: "shows each difference; with `--fix` it is put back";
	return [...lines, isOpen ? `What to do: \`${command}\` ${next}. Runbook: ${runbook}` : "Nothing is left to do."].join(
		"\n",
	);
}

function short({ name, action, changes }: DriftedResource): string {
	const what = changes.map((change) => change.what).join(", ");
	return `${name}: ${action === "update" ? what : `${action}${what ? ` (${what})` : ""}`}`;
}

function indented(text: string): string[] {
	return text.split("\n").map((line, i) => `${i === 0 ? "  " : "    "}${line}`);
}
