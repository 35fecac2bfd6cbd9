/** Two or more ways to do one thing, run in turn in one run, so that a noisy machine is the same for all of them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

export interface Way {
	name: string;
	/** Run by bash. */
	command: string;
	env?: Record<string, string>;
	/** The greatest exit status that is a success; 0 by default. */
	accept?: number;
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
	/** The most that the first process had in memory, in MiB. */
	memory: number;
}

/** Throws where a command fails: a fast failure is not fast. */
export async function compare(ways: Way[], rounds: number, meter?: Meter): Promise<Measured[]> {
	const none = { requests: () => 0, processor: () => 0 };
	const { requests, processor } = meter ?? none;
	const all: Measured[] = ways.map(({ name }) => ({
		...{ name, seconds: [], requests: 0, server: Number.POSITIVE_INFINITY, memory: 0 },
	}));
	for (let round = 1; round <= rounds; round++) {
		for (const [i, way] of ways.entries()) {
			const measured = all[i] as Measured;
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

async function run({ name, command, env, accept = 0 }: Way): Promise<{ seconds: number; memory: number }> {
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
		try {
			const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
			memory = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024 || memory;
		} catch {
			// It has ended meanwhile.
		}
	}, 50);
	const [code] = await once(child, "close");
	clearInterval(look);
	if (code === null || code > accept) throw new Error(`${name} ended with ${code}: ${said}`);
	return { seconds: (performance.now() - start) / 1000, memory };
}

export function median(values: number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
