/** What is remembered from one drift run to the next, and when people are told. */
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { isNews, keep, recall, remember, type StackMemory } from "../../../components/driftDetection/memory.ts";
import { failed, type StackReport } from "../../../components/driftDetection/report.ts";
import { serve } from "../../httpServer.ts";

const HOUR = 3600;
const report = (state: StackReport["state"], ...names: string[]): StackReport => ({
	...failed("lab", ""),
	state,
	drifted: names.map((name) => ({ name, type: "t", action: "update", changes: [] })),
});

/** Runs one after another, each told where it is news; resolves with when each drift began, and whether it was news. */
function runs(...reports: [hour: number, report: StackReport][]) {
	let memory: StackMemory | undefined;
	return reports.map(([hour, next]) => {
		const after = remember(memory, next, hour * HOUR);
		const news = isNews(memory, after);
		memory = { ...after, told: news ? hour * HOUR : after.told };
		return [after.firstSeen === undefined ? undefined : after.firstSeen / HOUR, news] as const;
	});
}

describe("when people are told", () => {
	it("the first run that finds a drift tells of it, although nothing was known before", () => {
		expect(runs([1, report("drift", "a")])).toEqual([[1, true]]);
	});

	it("not again while nothing is new, and once a day until it is clean, and then once", () => {
		const found = runs(
			[0, report("clean")],
			[4, report("drift", "a")],
			[5, report("drift", "a")],
			[27.9, report("drift", "a")],
			[28, report("drift", "a")],
			[29, report("clean")],
			[30, report("clean")],
		);
		const [none, began] = [undefined, 4];
		expect(found).toEqual([
			[none, false],
			[began, true],
			[began, false],
			[began, true],
			[began, false],
			[none, true],
			[none, false],
		]);
	});

	it("another resource that drifts is news, and does not begin the age anew", () => {
		expect(runs([1, report("drift", "a")], [2, report("drift", "a", "b")])).toEqual([
			[1, true],
			[1, true],
		]);
	});

	it("one of two that is put back is no news", () => {
		expect(runs([1, report("drift", "a", "b")], [2, report("drift", "a")])[1]).toEqual([1, false]);
	});

	it("a run that could not find out forgets nothing: neither since when, nor what", () => {
		expect(runs([1, report("drift", "a")], [2, report("error")], [3, report("drift", "a")])).toEqual([
			[1, true],
			[1, true],
			[1, true],
		]);
	});

	it("what was not taken by Slack is told by the next run, also that it is clean again", () => {
		const owed = { state: "clean" as const, told: 0, lastRun: 0, resources: {} };
		expect(isNews(owed, remember(owed, report("clean"), HOUR))).toBe(true);
	});

	it("a difference that is accepted is not remembered as drift", () => {
		const accepted = report("clean", "a");
		(accepted.drifted[0] as { accepted?: string }).accepted = "a trial (until 2027-01-01)";
		expect(remember(undefined, accepted, HOUR)).toMatchObject({ firstSeen: undefined, resources: {} });
	});
});

describe("the Pushgateway", () => {
	const group = (value: string, labels: Record<string, string>) => ({ metrics: [{ labels, value }] });
	const told = (labels: Record<string, string>) => ({
		status: "success",
		data: [
			{ labels: { job: "another" }, drift_stack_state: group("2", { stack: "lab", job: "another" }) },
			{
				labels: { job: "drift-detection", instance: "" },
				drift_stack_state: group("1", labels),
				drift_stack_first_seen: group("7200", labels),
				drift_resource_info: group("1", { ...labels, resource: "a", action: "update" }),
			},
		],
	});

	it.each([
		{ stack: "lab", job: "drift-detection", instance: "" },
		{ instance: "", job: "drift-detection", stack: "lab" },
		{ job: "drift-detection", stack: "lab" },
	] as Record<string, string>[])(
		"gives back what a run left there, whatever the order of the labels: %j",
		async (labels) => {
			const { url } = await serve((_, response) => response.end(JSON.stringify(told(labels))));
			expect(await recall(url, undefined)).toEqual({
				lab: { state: "drift", firstSeen: 7200, told: undefined, lastRun: 0, resources: { a: "update" } },
			});
		},
	);

	it("started anew, Prometheus is asked since when; where that does not answer, that is an error", async () => {
		const empty = await serve((_, response) => response.end('{"status":"success","data":[]}'));
		const sample = (name: string, value: string) => ({
			metric: { __name__: name, exported_job: "x", stack: "lab" },
			value: [0, value],
		});
		const result = [sample("drift_stack_state", "1"), sample("drift_stack_first_seen", "7200")];
		const prometheus = await serve((_, response) =>
			response.end(JSON.stringify({ status: "success", data: { result } })),
		);
		expect((await recall(empty.url, prometheus.url))["lab"]).toMatchObject({ state: "drift", firstSeen: 7200 });
		const down = await serve((_, response) => response.writeHead(503).end("starting"));
		await expect(recall(empty.url, down.url)).rejects.toThrow("the Pushgateway has lost it: it answered 503: starting");
	});

	it.each([
		["a login page before it", "text/html; charset=utf-8", "<!doctype html><title>Log in</title>"],
		["another server", "text/plain", "hello"],
		["another API", "application/json", '{"status":"success"}'],
	])("%s is none, and is not taken for an empty one", async (_, type, body) => {
		const { url } = await serve((_, response) => response.writeHead(200, { "content-type": type }).end(body));
		const words = `the Pushgateway ${url} answered as no Pushgateway does`;
		await expect(recall(url, undefined)).rejects.toThrow(words);
		if (type.startsWith("text/html")) await expect(keep(url, {}, 0)).rejects.toThrow(words);
	});

	it("is tried again where it fails for a moment, and its refusal is an error with its words", async () => {
		const answers = [503, 200];
		const bodies: string[] = [];
		const { url } = await serve(async (request, response) => {
			bodies.push(`${request.method} ${request.url}\n${await text(request)}`);
			response.writeHead(answers.shift() ?? 400).end("inconsistent");
		});
		const memory = {
			lab: { state: "drift" as const, firstSeen: 0, told: 0, lastRun: 7200, resources: { a: "update" } },
		};
		await keep(url, memory, 7200);
		expect(bodies).toHaveLength(2);
		expect(bodies[1]).toMatch(/^PUT \/metrics\/job\/drift-detection\n/);
		for (const line of [
			'drift_stack_state{stack="lab"} 1',
			'drift_stack_age_hours{stack="lab"} 2',
			"drift_stack_count 1",
		])
			expect(bodies[1]).toContain(line);
		await expect(keep(url, memory, 7200)).rejects.toThrow("answered 400: inconsistent");
	});
});
