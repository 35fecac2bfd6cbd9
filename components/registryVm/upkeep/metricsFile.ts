/** Metrics in a file, for node_exporter's textfile collector, or for nginx to show. */
import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Replaces the file in one step, as it may be read at any time, and by anybody, whatever root's umask is. */
export function replaceMetrics(file: string, text: string): void {
	const folder = dirname(file);
	if (mkdirSync(folder, { recursive: true }) !== undefined) chmodSync(folder, 0o755);
	writeFileSync(`${file}.half`, text);
	chmodSync(`${file}.half`, 0o644);
	renameSync(`${file}.half`, file);
}
