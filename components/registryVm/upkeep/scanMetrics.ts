/** What a scan found, for node_exporter's textfile collector. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Finding, PROBLEMS } from "./scan.ts";

/** Replaces the file in one step: the collector may read at any time. `now` is in milliseconds since 1970. */
export function writeScanMetrics(file: string, registries: string[], findings: Finding[], now: number): void {
	const lines = [
		"# HELP registry_scan_findings What the last scan of the registry's storage found broken, and did not take away.",
		"# TYPE registry_scan_findings gauge",
		...registries.flatMap((registry) =>
			PROBLEMS.map((problem) => {
				const left = findings.filter((one) => one.registry === registry && one.problem === problem && !one.removed);
				return `registry_scan_findings{registry="${registry}",problem="${problem}"} ${left.length}`;
			}),
		),
		"# HELP registry_scan_last_run_timestamp When the last scan ended, in seconds since 1970.",
		"# TYPE registry_scan_last_run_timestamp gauge",
		`registry_scan_last_run_timestamp ${now / 1000}`,
	];
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(`${file}.half`, `${lines.join("\n")}\n`, { mode: 0o644 });
	renameSync(`${file}.half`, file);
}
