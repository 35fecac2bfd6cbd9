/** Whether a Prometheus has the metrics that the alerts are about, under the labels that they have at their source. */
import { setTimeout } from "node:timers/promises";
import { askPrometheus, query } from "./prometheus.ts";

export interface Expected {
	/** A metric that was just pushed to a Pushgateway, with the job that it was pushed for; undefined where none was. */
	pushed: { metric: string; job: string } | undefined;
	/** Ports of the registry VMs at which metrics are to be scraped: one that several VMs have, as often as that. */
	ports: number[];
}

/** Of `/api/v1/targets`, what is used. */
interface Target {
	scrapeUrl: string;
	health: "up" | "down" | "unknown";
	lastError: string;
}

const ABOUT = "what it scrapes";

/**
 * What is wrong with how the Prometheus at that URL gets its metrics, a sentence each. What was pushed is waited for, in
 * milliseconds: it scrapes once a minute by default. Throws an Error where Prometheus can't be asked.
 */
export async function scrapeProblems(url: string, { pushed, ports }: Expected, patience = 120_000): Promise<string[]> {
	const problems: string[] = [];
	if (pushed !== undefined) {
		const deadline = Date.now() + patience;
		let problem = await pushProblem(url, pushed);
		while (problem !== undefined && Date.now() < deadline) {
			await setTimeout(Math.min(5_000, patience / 10));
			problem = await pushProblem(url, pushed);
		}
		if (problem !== undefined) problems.push(problem);
	}
	if (ports.length === 0) return problems;
	const all = await targets(url);
	for (const port of new Set(ports)) {
		const wanted = ports.filter((one) => one === port).length;
		const of = all.filter(({ scrapeUrl }) => new URL(scrapeUrl).port === String(port));
		if (of.length < wanted)
			problems.push(
				`Prometheus scrapes ${of.length === 0 ? `no port ${port}` : `port ${port} of ${of.length} machine(s) instead of ${wanted}`}, where a registry VM shows its metrics: nobody would be told that it is down, or its disk full; add it to scrape_configs`,
			);
		problems.push(...of.filter(({ health }) => health === "down").map(described));
	}
	return problems;
}

async function pushProblem(url: string, { metric, job }: { metric: string; job: string }): Promise<string | undefined> {
	const found = await query(url, metric, ABOUT);
	if (found.some(({ labels }) => labels["job"] === job)) return undefined;
	const renamed = found.find(({ labels }) => labels["exported_job"] === job);
	if (renamed !== undefined)
		return `Prometheus has what was pushed for the job ${job} as that of the job ${renamed.labels["job"]}: whoever asks by job or instance does not find it; set honor_labels: true where it scrapes the Pushgateway`;
	const down = (await targets(url)).filter(({ health }) => health === "down").map(described);
	return [
		`Prometheus has nothing of what was pushed for the job ${job} (${metric}): nobody would be told; does it scrape that Pushgateway?`,
		...down,
	].join(" ");
}

function described({ scrapeUrl, lastError }: Target): string {
	return `Prometheus can't scrape ${scrapeUrl}: ${lastError}.`;
}

async function targets(url: string): Promise<Target[]> {
	const { activeTargets } = await askPrometheus<{ activeTargets: Target[] }>(url, "targets", ABOUT, {
		state: "active",
	});
	return activeTargets;
}
