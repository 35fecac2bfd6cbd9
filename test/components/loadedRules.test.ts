/** What Prometheus says of its rules, compared with the declared ones. */
import { expect, it } from "vitest";
import { ruleGroup } from "../../components/alertRules.ts";
import { loadedFrom, ruleProblems } from "../../components/loadedRules.ts";
import { serve } from "../httpServer.ts";

async function prometheus(status: number, body: string): Promise<string> {
	return (await serve((_, response) => response.writeHead(status).end(body))).url;
}

const alert = (name: string) => ({
	...{ alert: name, severity: "warning" as const, expr: 'max(a{b="c"})  > 26*3600', for: "30m" },
	...{ summary: `${name} has {{ $value }}`, description: "Words.", runbook: "a.md#b" },
});
const declared = [ruleGroup("ours", "docs", [alert("One"), alert("Two")])];
const loaded = (name: string, change: object = {}) => ({
	...{ name, query: 'max(a{b="c"}) > 26 * 3600', duration: 1800, type: "alerting" },
	...{ annotations: { summary: `${name} has {{ $value }}` }, ...change },
});
const has = (...groups: { file: string; rules: object[] }[]) =>
	prometheus(200, JSON.stringify({ status: "success", data: { groups } }));
const ours = { file: "ours.yml", rules: [loaded("One"), loaded("Two")] };

it("all of them loaded, once, as declared, beside others: nothing is wrong", async () => {
	const others = { file: "others.yml", rules: [loaded("Another"), { name: "One", type: "recording", query: "x" }] };
	expect(await ruleProblems(await has(others, ours), declared)).toEqual([]);
});

it.each([
	["none is loaded", [], /has not loaded 2 of the alerts \(One, Two\).*rule_files/],
	["one is missing", [{ file: "ours.yml", rules: [loaded("One")] }], /has not loaded 1 of the alerts \(Two\)/],
	[
		"another expression",
		[{ file: "ours.yml", rules: [loaded("One", { query: "max(a) > 1" }), loaded("Two")] }],
		/One in ours\.yml is another one/,
	],
	[
		"another duration",
		[{ file: "ours.yml", rules: [loaded("One", { duration: 60 }), loaded("Two")] }],
		/One in ours\.yml is another one/,
	],
	[
		"an older summary",
		[{ file: "ours.yml", rules: [loaded("One", { annotations: { summary: "old" } }), loaded("Two")] }],
		/One in ours\.yml is another one/,
	],
	[
		"one that somebody else has, too",
		[ours, { file: "terraform.yml", rules: [loaded("Two", { query: "vector(1)" })] }],
		/Two is loaded 2 times, from ours\.yml and terraform\.yml/,
	],
])("%s: said in words", async (_, groups, message) => {
	const problems = await ruleProblems(await has(...groups), declared);
	expect(problems).toEqual([expect.stringMatching(message)]);
});

it.each([
	["an error", 503, "Service Unavailable", /does not tell which alerts it has loaded: it answered 503/],
	["something else", 200, "<html>", /does not tell which alerts it has loaded: /],
	["JSON of another kind", 200, "{}", /does not tell which alerts it has loaded: /],
])("%s could not be told, which is not the same as missing", async (_, status, body, message) => {
	await expect(ruleProblems(await prometheus(status, body), declared)).rejects.toThrow(message);
});

it("alerts of the same names are found with the files that they are in; others and recordings are not", async () => {
	const others = { file: "others.yml", rules: [loaded("Another"), { name: "One", type: "recording", query: "x" }] };
	const terraform = { file: "terraform.yml", rules: [loaded("Two"), loaded("Three"), loaded("One")] };
	expect(await loadedFrom(await has(others, terraform), ["One", "Two"])).toEqual(
		new Map([["terraform.yml", ["Two", "One"]]]),
	);
});
