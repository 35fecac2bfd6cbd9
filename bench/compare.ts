/** Two or more ways to do one thing, run in turn in one run, so that a noisy machine is the same for all of them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resident } from "./processes.ts";

export interface Way {
	name: string;
	/** Run by bash. */
	command: string;
	env?: Record<string, string>;
	/** Of the server that it asks, where that is counted. */
	meter?: Meter;
}

/** What is counted from outside: requests to the server, and its processor time, in seconds since its start. */
export interface Meter {
	requests(): number;
	processor(): number;
}

export interface Measured {
	name: string;
	/** Of each round. */
	seconds: number[];
	/** To the server, in the last round. */
	requests: number;
	/** The server's processor time, the least of all rounds, in seconds. */
	server: number;
	/** In MiB: the most that each process had resident, added up for those that ran at one time; the most of all rounds. */
	memory: number;
}

const uncounted: Meter = { requests: () => 0, processor: () => 0 };

/** Throws where a command fails: a fast failure is not fast. */
export async function compare(ways: Way[], rounds: number): Promise<Measured[]> {
	const all: Measured[] = ways.map(({ name }) => ({
		...{ name, seconds: [], requests: 0, server: Number.POSITIVE_INFINITY, memory: 0 },
	}));
	for (let round = 1; round <= rounds; round++) {
		for (const [i, way] of ways.entries()) {
			const measured = all[i] as Measured;
			const { requests, processor } = way.meter ?? uncounted;
			const before = { requests: requests(), processor: processor() };
			const { seconds, memory } = await run(way);
			measured.seconds.push(seconds);
			measured.memory = Math.max(measured.memory, memory);
			measured.requests = requests() - before.requests;
			measured.server = Math.min(measured.server, processor() - before.processor);
			console.error(`${way.name}, round ${round} of ${rounds}: ${seconds.toFixed(1)} s`);
		}
	}
	return all;
}

async function run({ name, command, env }: Way): Promise<{ seconds: number; memory: number }> {
	const start = performance.now();
	const child = spawn("bash", ["-c", command], {
		env: { ...process.env, ...env },
		stdio: ["ignore", "ignore", "pipe"],
	});
	let said = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		said = (said + text).slice(-2000);
	});
	let memory = 0;
	const look = setInterval(() => {
		memory = Math.max(memory, resident(child.pid as number));
	}, 50);
	const [code] = await once(child, "close");
	clearInterval(look);
	if (code !== 0) throw new Error(`${name} ended with ${code}: ${said}`);
	return { seconds: (performance.now() - start) / 1000, memory };
}

export function median(values: number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const at = (index: number) => sorted[index] ?? Number.NaN;
	return (at(Math.floor((sorted.length - 1) / 2)) + at(Math.ceil((sorted.length - 1) / 2))) / 2;
}
