/**
 * The registries' upkeep on the VM, bundled into one file for the Node that is there (upkeepFiles.ts).
 * Exit status: 0 all is well, 1 something is broken and stays so, 2 the question could not be answered.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ApiError, withRegistry } from "./api.ts";
import { bytesOf, tagsBeyond } from "./cacheSize.ts";
import { pushCanary } from "./canary.ts";
import { cleanupTags, removeTag } from "./cleanupTags.ts";
import { findGarbage, removeGarbage } from "./collect.ts";
import { hasRoomAgain } from "./fullDisk.ts";
import { measure } from "./measure.ts";
import { pace } from "./pace.ts";
import { relink } from "./relink.ts";
import { repair } from "./repair.ts";
import { type Finding, scan } from "./scan.ts";
import { writeScanMetrics } from "./scanMetrics.ts";
import { Store } from "./store.ts";

const DATA = "/opt/registry/data";
/** In memory, because the disk is what it is about. */
const FULL = "/run/registry-disk-full";
const SCAN = "/opt/registry/fix-broken-blobs.sh";
const HOUR = 3_600_000;
/** An upload that nobody writes into for so long is not under way, in milliseconds. */
const QUIET = 30_000;
/** How long a collection waits for that, in milliseconds. */
const QUIET_DEADLINE = 600_000;

class UsageError extends Error {}

const commands: Record<string, (args: string[]) => number | Promise<number>> = {
	"fix-broken-blobs": fixBrokenBlobs,
	"cleanup-tags": cleanup,
	"garbage-collect": collectGarbage,
	canary,
	repair: repairRepository,
	measure: measureVm,
};

try {
	const [name = "", ...args] = process.argv.slice(2);
	const command = commands[name];
	if (command === undefined) throw new UsageError(`unknown command "${name}"; there are: ${Object.keys(commands)}`);
	process.exitCode = await command(args);
} catch (error) {
	const { message, code } = error as NodeJS.ErrnoException;
	const expected = error instanceof UsageError || error instanceof ApiError || code !== undefined;
	console.error(expected ? message : error);
	process.exitCode = 2;
}

async function fixBrokenBlobs(args: string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			private: { type: "string", default: "" },
			caches: { type: "string", default: "" },
			"dry-run": { type: "boolean", default: false },
			relink: { type: "boolean", default: false },
			deep: { type: "boolean", default: false },
			gently: { type: "boolean", default: false },
			truncated: { type: "boolean", default: false },
			json: { type: "boolean", default: false },
			metrics: { type: "string" },
		},
	});
	const base = positionals[0] ?? DATA;
	if (values.relink && values["dry-run"]) throw new UsageError("--relink and --dry-run: one of them");
	const { deep, truncated } = values;
	const pause = values.gently ? pace() : () => {};
	const options = { fix: !values["dry-run"], deep, truncated, pause };
	const caches = values.caches.split(",").filter(Boolean);
	const findings = caches.flatMap((registry) =>
		scan(new Store(join(base, registry)), { ...options, registry, cache: true }),
	);
	const own = values.private === "" ? [] : [values.private];
	for (const registry of own) {
		const store = new Store(join(base, registry));
		const ofThis = { ...options, registry, cache: false };
		let found = scan(store, ofThis);
		if (values.relink && found.some(({ relinkable }) => relinkable)) {
			const results = await withRegistry(registry, join(base, registry), (api) => relink(store, found, api));
			for (const { repository, digest, problem } of results)
				log(`${registry} ${repository} ${problem ? `can't be relinked: ${digest}: ${problem}` : `relinked ${digest}`}`);
			found = [...found.filter(({ fixed }) => fixed), ...scan(store, { ...ofThis, truncated: false })];
		}
		findings.push(...found);
	}
	if (values.metrics) writeScanMetrics(values.metrics, [...caches, ...own], findings, Date.now());
	report(findings, values.json);
	return findings.some(({ fixed }) => !fixed) ? 1 : 0;
}

async function canary(args: string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: { private: { type: "string", default: "" } },
	});
	const [repository] = positionals;
	if (repository === undefined) throw new UsageError("canary needs the name of a repository");
	await withRegistry(values.private, join(DATA, values.private), (api) => pushCanary(api, repository));
	log(`${repository} is there`);
	return 0;
}

async function measureVm(args: string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			private: { type: "string", default: "" },
			scan: { type: "string", default: "" },
			caches: { type: "string", default: "" },
		},
	});
	const [file] = positionals;
	if (file === undefined) throw new UsageError("measure needs the name of the file that it replaces");
	const pairs = values.caches.split(",").filter(Boolean);
	const caches = Object.fromEntries(pairs.map((pair) => pair.split("=", 2) as [string, string]));
	// First, because a file can't be replaced on a full disk.
	const roomAgain = hasRoomAgain(DATA, FULL);
	const problems = await measure(file, { data: DATA, scan: values.scan, caches }, Date.now());
	for (const problem of problems) log(problem);
	if (roomAgain) {
		log("the disk was full and has room again; looking for what it cut off");
		// Takes its turn with the others.
		const { status } = spawnSync(SCAN, ["--truncated", "--metrics", values.scan], { stdio: "inherit" });
		if (status !== 0 && status !== 1) problems.push("the scan failed");
	}
	return problems.length > 0 ? 2 : 0;
}

async function repairRepository(args: string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: { private: { type: "string", default: "" }, caches: { type: "string", default: "" } },
	});
	const [repository] = positionals;
	if (repository === undefined) throw new UsageError("repair needs the name of a repository");
	const registry = values.private;
	if (registry === "")
		throw new UsageError("there is no private registry here, and a cache fetches again what it lacks");
	const store = new Store(join(DATA, registry));
	if (!store.repositories().includes(repository)) throw new UsageError(`${registry} has no repository ${repository}`);
	const caches = values.caches.split(",").filter(Boolean);
	const others = Object.fromEntries(caches.map((name) => [name, new Store(join(DATA, name))]));
	const { restored, missing } = await withRegistry(registry, join(DATA, registry), (api) =>
		repair(repository, { store, others }, api),
	);
	for (const line of restored) log(line);
	for (const line of missing) log(`not to be had on this machine: ${line}`);
	return missing.length > 0 ? 1 : 0;
}

function cleanup(args: string[]): number {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			private: { type: "string", default: "" },
			caches: { type: "string", default: "" },
			"max-sizes": { type: "string", default: "" },
			keep: { type: "string", default: "10" },
			protect: { type: "string", default: "^latest$" },
			"dry-run": { type: "boolean", default: false },
		},
	});
	const keep = Number(values.keep);
	if (!Number.isInteger(keep) || keep < 1) throw new UsageError(`--keep ${values.keep}: is not a number from 1 up`);
	const sizes = new Map(values["max-sizes"].split(",").map((pair) => pair.split("=") as [string, string]));
	const dryRun = values["dry-run"];
	const caches = values.caches.split(",").filter(Boolean);
	// The private one first: a cache that can't be read must not keep it from its turn.
	for (const registry of [values.private, ...caches].filter(Boolean)) {
		const store = new Store(join(positionals[0] ?? DATA, registry));
		const size = caches.includes(registry) ? sizes.get(registry) : undefined;
		const maxBytes = bytesOf(size ?? "");
		if (size !== undefined && maxBytes === undefined) throw new UsageError(`${registry}=${size} is not a size`);
		const old = cleanupTags(store, { keep, protect: new RegExp(values.protect), dryRun });
		const beyond = maxBytes === undefined ? [] : tagsBeyond(store, maxBytes).filter(({ name }) => !old.includes(name));
		if (!dryRun) for (const { repository, tag } of beyond) removeTag(repository.tagFolder(tag));
		for (const name of [...old, ...beyond.map(({ name }) => name)])
			log(`${registry}: ${dryRun ? "would remove" : "removed"} ${name}`);
		log(`${registry}: ${old.length} tags beyond the newest ${keep} of their repository`);
		if (size !== undefined) log(`${registry}: ${beyond.length} tags beyond ${size}`);
	}
	return 0;
}

async function collectGarbage(args: string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			private: { type: "string", default: "" },
			"grace-hours": { type: "string", default: "24" },
			accept: { type: "string", multiple: true, default: [] },
			"dry-run": { type: "boolean", default: false },
		},
	});
	const [registry] = positionals;
	if (registry === undefined) throw new UsageError("garbage-collect needs the name of a registry");
	const grace = Number(values["grace-hours"]) * HOUR;
	if (!(grace >= 0)) throw new UsageError(`--grace-hours ${values["grace-hours"]}: is not a number from 0 up`);
	const cache = registry !== values.private;
	const store = new Store(join(DATA, registry));
	const container = `registry-${registry}`;

	const broken = () =>
		scan(store, { registry, cache, fix: false }).filter(
			({ problem, subject }) => !problem.endsWith("-layer-link") && !values.accept.includes(subject),
		);
	const before = broken();
	if (before.length > 0) {
		report(before, false);
		log(
			`${registry} was not collected: what is broken may need what would go. Repair it, or --accept <its digest or tag>`,
		);
		return 1;
	}
	if (!values["dry-run"]) {
		if (!(await isQuiet(store))) {
			log(`${registry} was not collected: it has been receiving content all the time; it is tried again next week`);
			return 2;
		}
		execFileSync("docker", ["stop", "-t", "60", container], { stdio: "ignore" });
	}
	try {
		const garbage = findGarbage(store, { grace });
		if (!values["dry-run"]) removeGarbage(store, garbage);
		const size = garbage.blobs.reduce((sum, blob) => sum + blob.size, 0);
		log(
			`${registry}: ${values["dry-run"] ? "would remove" : "removed"} ${garbage.revisions.length} manifests and ${garbage.blobs.length} blobs, ${size} bytes`,
		);
	} finally {
		if (!values["dry-run"]) execFileSync("docker", ["start", container], { stdio: "ignore" });
	}
	const after = broken();
	report(after, false);
	return after.length > 0 ? 1 : 0;
}

/** Waits until nothing was written into an upload for a while: a push, or a pull that a cache fetches. */
async function isQuiet(store: Store): Promise<boolean> {
	const deadline = Date.now() + QUIET_DEADLINE;
	while (store.lastUpload() > Date.now() - QUIET) {
		if (Date.now() > deadline) return false;
		await new Promise((resolve) => setTimeout(resolve, 1000));
	}
	return true;
}

function report(findings: Finding[], json: boolean): void {
	for (const finding of findings) {
		if (json) {
			console.log(JSON.stringify(finding));
			continue;
		}
		const { registry, repository, problem, subject, detail, fixed, relinkable } = finding;
		const more = fixed ? ` (${fixed})` : relinkable ? " (can be relinked)" : "";
		log(`${[registry, repository, problem, subject].filter(Boolean).join(" ")}: ${detail}${more}`);
	}
	if (!json) log(`${findings.length} broken, ${findings.filter(({ fixed }) => fixed).length} of them put right`);
}

function log(line: string): void {
	console.log(`${new Date().toISOString()} ${line}`);
}
