/**
 * make soak: clients that push and pull, the people who run the estate, and what goes wrong with it, all at once on the
 * lab, chosen by a seed. Exit status: 0 where nothing was lost or wrong, else 1. It prints what was done.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { pushCanary } from "../../components/registryVm/upkeepFiles.ts";
import { privateRegistry } from "../../lab/estate.ts";
import { labEnvironment } from "../../lab/status.ts";
import { drift, onVm, up, variant } from "../lab/lab.ts";
import { wipe } from "../lab/pushed.ts";
import { clients } from "./clients.ts";
import { faults, operations, smallDisk } from "./operator.ts";
import { random } from "./random.ts";
import { Report } from "./report.ts";
import { falseAlarms, type Used, used } from "./watch.ts";

/** Clients at work at once. */
const CLIENTS = 3;
/** One in so many things that are done is a fault. */
const FAULTS = 3;
/** What a container may have more than at the start, when all is quiet again: memory in MiB, and open files. */
const [MORE_MEMORY, MORE_FILES] = [100, 50];

const program = new Command()
	.name("make soak")
	.option("--minutes <number>", "how long", Number, 10)
	.option("--seed <number>", "of the choices; another one each time by default", Number, Date.now() % 1_000_000)
	.parse();
const { minutes, seed } = program.opts<{ minutes: number; seed: number }>();

Object.assign(process.env, await labEnvironment());
await using changed = await variant();
const report = new Report();
const all = await clients(await mkdtemp(join(tmpdir(), "soak-")), report);
console.log(`seed ${seed}, ${minutes} minutes`);
await up();
await using disk = await smallDisk();
// Not `once`: execa ends the process at a signal that nobody else listens to.
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, async () => {
		await disk[Symbol.asyncDispose]();
		process.exit(1);
	});
await wipe(); // On that disk alone: what tests left may be broken.
await onVm(pushCanary(privateRegistry.name, "canary"));
const before = await used();
const most: Record<string, Used> = {};
const end = Date.now() + minutes * 60_000;

const isOver = () => Date.now() > end;
let rest = Promise.resolve();
const work = {
	operations: operations(changed, (milliseconds) => {
		rest = pause(milliseconds);
	}),
	faults: faults(changed),
};
await Promise.all([operate(), watch(), ...Array.from({ length: CLIENTS }, (_, i) => client(i))]);

await report.counted("update at the end", up);
const proved = await all.proveAll();
const { exitCode, output } = await drift();
if (exitCode !== 0) report.problem(`there is something left to do: ${output}`);
const after = await used();
for (const [name, was] of Object.entries(before)) {
	const is = after[name];
	if (is === undefined) {
		report.problem(`${name} can't be asked what it uses`);
		continue;
	}
	const { memory, files } = is;
	if (memory > was.memory + MORE_MEMORY) report.problem(`${name} grew from ${was.memory} to ${memory} MiB`);
	if (files > was.files + MORE_FILES) report.problem(`${name} has ${files} files open, and had ${was.files}`);
}
await all.dispose();

console.log(`\n${report}\n`);
for (const [name, { memory, files }] of Object.entries(most).sort()) {
	const size = ({ memory, files }: Used = { memory: 0, files: 0 }) => `${memory.toFixed(0)} MiB, ${files} files`;
	console.log(
		`${name}: at first ${size(before[name])}; at most ${size({ memory, files })}; at last ${size(after[name])}`,
	);
}
console.log(`\n${proved} images that were acknowledged are there; ${report.problems.length} problems (seed ${seed})`);
for (const problem of report.problems) console.log(`- ${problem}`);
if (report.problems.length > 0) process.exitCode = 1;

/** The people and the faults, one thing after the other. */
async function operate(): Promise<void> {
	const choices = random(seed);
	while (!isOver()) {
		const kind = choices.below(FAULTS) === 0 ? work.faults : work.operations;
		const name = choices.of(Object.keys(kind));
		console.log(`${new Date().toISOString().slice(11, 19)} ${name}`);
		await report.counted(name, async () => kind[name]?.(choices));
	}
}

async function client(i: number): Promise<void> {
	const choices = random(seed + 1 + i);
	while (!isOver()) {
		await rest;
		await all.once(choices);
	}
}

async function watch(): Promise<void> {
	const seen = new Set<string>();
	while (!isOver()) {
		for (const [name, { memory, files }] of Object.entries(await used())) {
			const { memory: m, files: f } = most[name] ?? { memory: 0, files: 0 };
			most[name] = { memory: Math.max(m, memory), files: Math.max(f, files) };
		}
		for (const alert of await falseAlarms()) {
			if (!seen.has(alert)) report.problem(`${alert} fires`);
			seen.add(alert);
		}
		await pause(5000);
	}
}
