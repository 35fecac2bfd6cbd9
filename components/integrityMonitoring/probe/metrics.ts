/** What the probe found, as metrics in a Pushgateway. */
import { Gauge, Registry as Metrics } from "prom-client";
import { pushed, push as pushGroup } from "../../pushgateway.ts";
import { CERTIFICATE, METRIC, PROBE } from "../names.ts";
import type { ShownCertificate } from "./certificate.ts";
import type { Report } from "./probe.ts";

const BY_REPOSITORY = `${METRIC}_repository_failures`;

export interface Run {
	report: Report;
	/** In milliseconds since 1970. */
	start: number;
	end: number;
	requests: number;
	/** Read from the registry. */
	bytes: number;
	/** What the registry showed; undefined where it showed none. */
	certificate: ShownCertificate | undefined;
	/** The fingerprint of the one that is declared; undefined where that is not known. */
	declared: string | undefined;
}

/**
 * A run that could tell everything replaces all that the run before said, so that what is no longer so vanishes. One
 * that could not replaces only what it knows: what was broken before is not whole because nobody could look. The last
 * success is a group of its own. Of repositories for which the time was too short, what the last look at them found stays.
 * Resolves with whether the metrics of an older probe had to go for that. Throws where the Pushgateway does not take it.
 */
export async function push(url: string, instance: string, run: Run): Promise<boolean> {
	const complete = succeeded(run.report);
	const failures = new Map<string, number>();
	for (const { repository } of run.report.defects) failures.set(repository, (failures.get(repository) ?? 0) + 1);
	for (const [repository, before] of await earlier(url, instance, run.report.left))
		failures.set(repository, Math.max(before, failures.get(repository) ?? 0));
	const replaced = await pushGroup(complete ? "PUT" : "POST", url, { job: PROBE, instance }, ofRun(run, failures));
	if (complete) await pushGroup("PUT", url, { job: PROBE, instance, result: "success" }, ofSuccess(run));
	return replaced;
}

/** What earlier runs found in these repositories. */
async function earlier(url: string, instance: string, repositories: string[]): Promise<[string, number][]> {
	if (repositories.length === 0) return [];
	const samples = (await pushed(url, PROBE))[BY_REPOSITORY] ?? [];
	return samples
		.filter(({ labels }) => labels["instance"] === instance)
		.map(({ labels, value }): [string, number] => [labels["repository"] ?? "", value])
		.filter(([repository]) => repositories.includes(repository));
}

/** True where every question was answered, whatever the answers are. */
export function succeeded({ inaccessible, inconclusive }: Report): boolean {
	return inaccessible === undefined && inconclusive.length === 0;
}

/** `failures` is the number of broken pieces by repository. */
function ofRun(
	{ report, start, end, requests, bytes, certificate, declared }: Run,
	failures: Map<string, number>,
): Metrics {
	const metrics = new Metrics();
	const gauge = (name: string, help: string, value: number) =>
		new Gauge({ name: `${METRIC}_${name}`, help, registers: [metrics] }).set(value);
	gauge("catalog_accessible", "1 where the registry that was meant gave its catalog", report.inaccessible ? 0 : 1);
	gauge("last_run_timestamp", "When the last run ended, in seconds since 1970", end / 1000);
	gauge("duration_seconds", "How long the last run took", (end - start) / 1000);
	gauge("requests", "What the last run asked of the registry", requests);
	gauge("bytes", "What the last run read from the registry", bytes);
	gauge("inconclusive", "Questions that the registry did not answer", report.inconclusive.length);
	if (!report.inaccessible)
		gauge("coverage", "What the last run had the time to look at of all repositories, from 0 to 1", report.coverage);
	ofCertificate(metrics, certificate, declared);
	// Nothing broken was found, but not everything was looked at: what was counted before stays.
	if (!succeeded(report) && report.defects.length === 0) return metrics;
	const sum = [...failures.values()].reduce((all, one) => all + one, 0);
	gauge("failures", "Pieces that are missing or not what they should be", sum);
	gauge("repos_checked", "Repositories looked at", report.repositories);
	gauge("tags_checked", "Tags looked at", report.tags);
	gauge("indexes_checked", "Indexes looked at", report.indexes);
	const byRepository = new Gauge({
		name: BY_REPOSITORY,
		help: "Pieces of that repository that are missing or not what they should be",
		labelNames: ["repository"],
		registers: [metrics],
	});
	for (const [repository, pieces] of failures) byRepository.set({ repository }, pieces);
	return metrics;
}

function ofCertificate(metrics: Metrics, shown: ShownCertificate | undefined, declared: string | undefined): void {
	if (shown === undefined) return;
	const gauge = (name: string, help: string, value: number) =>
		new Gauge({ name: `${CERTIFICATE}_${name}`, help, registers: [metrics] }).set(value);
	gauge("days_left", "Until the certificate that the registry shows ends", shown.daysLeft);
	if (declared === undefined) return;
	const isDeclared = shown.fingerprint === declared;
	gauge("as_declared", "1 where it is the one that the config has", isDeclared ? 1 : 0);
}

function ofSuccess({ end }: Run): Metrics {
	const metrics = new Metrics();
	const name = `${METRIC}_last_success_timestamp`;
	const help = "When the last run that could tell everything ended, in seconds since 1970";
	new Gauge({ name, help, registers: [metrics] }).set(end / 1000);
	return metrics;
}
