/** What the VM has left and what its caches save, as Prometheus reads it: nginx shows it below a cache's own metrics. */
import { readFileSync, statfsSync } from "node:fs";
import { replaceMetrics } from "./metricsFile.ts";

/** How long a cache may take to answer, in milliseconds. */
const DEADLINE = 10_000;

/** What a registry counts as a cache, since its start. Only manifests: 2.8.3 counts no blob that it fetches as a miss. */
interface Manifests {
	/** How often one was asked for. */
	Requests: number;
	/** How often it had to be fetched. */
	Misses: number;
}

export interface Measured {
	/** The folder on whose file system the registries store. */
	data: string;
	/** The metrics of the last scan, a file; left out where there is none. */
	scan: string;
	/** The debug server of each cache that has one, a URL by name. */
	caches: Record<string, string>;
}

/**
 * Measures, and replaces the file. Resolves with what could not be measured, a sentence each; the rest is in the file.
 * `now` is in milliseconds since 1970.
 */
export async function measure(file: string, { data, scan, caches }: Measured, now: number): Promise<string[]> {
	const { bsize, blocks, bavail, files, ffree } = statfsSync(data);
	const problems: string[] = [];
	const counted: [string, Manifests][] = [];
	for (const [name, url] of Object.entries(caches)) {
		try {
			counted.push([name, await manifestsOf(url)]);
		} catch (error) {
			problems.push(`what ${name} has saved is not known: ${url}: ${reason(error)}`);
		}
	}
	const perCache = (key: keyof Manifests) =>
		counted.map(([name, manifests]) => [`{registry="${name}"}`, manifests[key]]);
	const text = [
		family("registry_vm_disk_size_bytes", "gauge", "The file system that the registries store in.", [
			["", bsize * blocks],
		]),
		family("registry_vm_disk_available_bytes", "gauge", "What is left of it.", [["", bsize * bavail]]),
		// Some file systems have no such limit, and say 0.
		...(files > 0
			? [
					family("registry_vm_disk_files", "gauge", "How many files it can have.", [["", files]]),
					family("registry_vm_disk_files_free", "gauge", "How many more.", [["", ffree]]),
				]
			: []),
		family("registry_cache_manifest_requests_total", "counter", "Manifests asked of a cache.", perCache("Requests")),
		family("registry_cache_manifest_misses_total", "counter", "Those that it had to fetch.", perCache("Misses")),
		family("registry_vm_measured_timestamp", "gauge", "When, in seconds since 1970.", [["", now / 1000]]),
		scanOf(scan),
	].join("");
	replaceMetrics(file, text);
	return problems;
}

async function manifestsOf(url: string): Promise<Manifests> {
	const answer = await fetch(`${url}/debug/vars`, { signal: AbortSignal.timeout(DEADLINE) });
	if (answer.status !== 200) throw new Error(`it answers ${answer.status}`);
	const vars = (await answer.json()) as { registry?: { proxy?: { manifests?: Manifests } } };
	const manifests = vars.registry?.proxy?.manifests;
	if (typeof manifests?.Requests !== "number" || typeof manifests.Misses !== "number")
		throw new Error("it is no registry that works as a cache");
	return manifests;
}

function reason(error: unknown): string {
	const { message, cause } = error as Error;
	return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

function scanOf(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
		throw error;
	}
}

function family(name: string, type: "gauge" | "counter", help: string, samples: (string | number)[][]): string {
	if (samples.length === 0) return "";
	const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
	return `${[...lines, ...samples.map(([labels, value]) => `${name}${labels} ${value}`)].join("\n")}\n`;
}
