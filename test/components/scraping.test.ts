/** What Prometheus says of what it scrapes, compared with what the alerts need. */
import { expect, it } from "vitest";
import { scrapeProblems } from "../../components/scraping.ts";
import { serve } from "../httpServer.ts";

type Labels = Record<string, string>;
interface Target {
	scrapeUrl: string;
	health: string;
	lastError: string;
}

/** A Prometheus with those targets, and these series at the first, second, ... question; the last ones stay. */
async function prometheus(targets: Target[], ...series: Labels[][]) {
	const asked: string[] = [];
	let turn = 0;
	const { url, close } = await serve((request, response) => {
		const url = new URL(request.url ?? "", "http://x");
		if (url.pathname === "/api/v1/targets")
			return response.end(JSON.stringify({ status: "success", data: { activeTargets: targets } }));
		asked.push(url.searchParams.get("query") ?? "");
		const now = series[Math.min(turn++, series.length - 1)] ?? [];
		const result = now.map((metric) => ({ metric, value: [1, "5"] }));
		return response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
	});
	return { url, asked, close };
}

const pushed = { metric: "drift_detection_last_run_timestamp", job: "drift-detection" };
const own = { __name__: pushed.metric, job: pushed.job, instance: "" };
const vm = (health: string, lastError = "") => ({ scrapeUrl: "http://10.0.20.10:5001/metrics", health, lastError });
const nothing = { pushed: undefined, ports: [] };

it("its own labels, and each port scraped: nothing is wrong", async () => {
	const { url, asked } = await prometheus([vm("up")], [own]);
	expect(await scrapeProblems(url, { pushed, ports: [5001] })).toEqual([]);
	expect(asked).toEqual([pushed.metric]);
});

it("what was pushed a moment ago is waited for", async () => {
	const { url, asked } = await prometheus([], [], [], [own]);
	expect(await scrapeProblems(url, { pushed, ports: [] }, 1000)).toEqual([]);
	expect(asked).toHaveLength(3);
});

it("without honor_labels, it is there under another job: said in words", async () => {
	const renamed = { ...own, job: "pushgateway", instance: "gateway:9091", exported_job: pushed.job };
	const { url } = await prometheus([], [renamed]);
	expect(await scrapeProblems(url, { pushed, ports: [] }, 0)).toEqual([
		expect.stringMatching(/for the job drift-detection as that of the job pushgateway.*honor_labels: true/),
	]);
});

it("what never comes, and of another job alone, is missing; a target that is down is named with its reason", async () => {
	const gateway = { scrapeUrl: "http://gateway:9091/metrics", health: "down", lastError: "connection refused" };
	const { url } = await prometheus([gateway, vm("up")], [{ ...own, job: "another" }]);
	expect(await scrapeProblems(url, { pushed, ports: [] }, 0)).toEqual([
		expect.stringMatching(
			/nothing of what was pushed.*can't scrape http:\/\/gateway:9091\/metrics: connection refused/,
		),
	]);
});

it.each([
	["that nobody scrapes", [], /scrapes no port 5001.*scrape_configs/],
	[
		"that can't be scraped",
		[vm("down", "404 Not Found")],
		/can't scrape http:\/\/10\.0\.20\.10:5001\/metrics: 404 Not Found/,
	],
])("a registry VM's port %s: said in words", async (_, targets, message) => {
	const { url } = await prometheus(targets);
	expect(await scrapeProblems(url, { ...nothing, ports: [5001] })).toEqual([expect.stringMatching(message)]);
});

it("a port that two VMs have, and one of them is scraped", async () => {
	const { url } = await prometheus([vm("up")]);
	expect(await scrapeProblems(url, { ...nothing, ports: [5001, 5001] })).toEqual([
		expect.stringMatching(/scrapes port 5001 of 1 machine\(s\) instead of 2, where a registry VM shows its metrics/),
	]);
});

it("one that was not scraped yet is no fault", async () => {
	const { url } = await prometheus([vm("unknown")]);
	expect(await scrapeProblems(url, { ...nothing, ports: [5001] })).toEqual([]);
});

it("a Prometheus that does not answer could not be asked, which is no fault of its scraping", async () => {
	const { url, close } = await prometheus([]);
	await close();
	await expect(scrapeProblems(url, { pushed, ports: [] }, 0)).rejects.toThrow(
		/does not tell what it scrapes: .*ECONNREFUSED/,
	);
});
