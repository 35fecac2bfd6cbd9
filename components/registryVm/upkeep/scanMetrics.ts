/** What a scan found, for node_exporter's textfile collector. */
import { replaceMetrics } from "./metricsFile.ts";
import { type Finding, PROBLEMS } from "./scan.ts";

/** Replaces the file. `now` is in milliseconds since 1970. */
export function writeScanMetrics(file: string, registries: string[], findings: Finding[], now: number): void {
	const lines = [
		"# HELP registry_scan_findings What the last scan of the registry's storage found broken, and did not take away.",
		"# TYPE registry_scan_findings gauge",
		...registries.flatMap((registry) =>
			PROBLEMS.map((problem) => {
				const left = findings.filter((one) => one.registry === registry && one.problem === problem && !one.fixed);
				return `registry_scan_findings{registry="${registry}",problem="${problem}"} ${left.length}`;
			}),
		),
		"# HELP registry_scan_last_run_timestamp When the last scan ended, in seconds since 1970.",
		"# TYPE registry_scan_last_run_timestamp gauge",
		`registry_scan_last_run_timestamp ${now / 1000}`,
	];
	replaceMetrics(file, `${lines.join("\n")}\n`);
}
