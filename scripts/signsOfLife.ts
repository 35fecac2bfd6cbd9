/**
 * Whether the run that holds a stack is still at work. A deploy gives signs of life in one of the stack's tags, which a
 * state of every kind has: a sign is the machine's name, its time, and whose process numbers it has. The last one stays,
 * and says nothing about a lock that is newer.
 */
import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { execa } from "execa";
import type { LockOwner } from "./stackLock.ts";

const TAG = "deploy";

export interface Place {
	stack: string;
	/** Of the project. */
	folder: string;
	/** How long no sign means that the run is dead, in milliseconds; signs are given six times as often. */
	silence: number;
}

/**
 * Where a process number means the same process: this boot of this kernel and, on Linux, this container. Machines of the
 * same name differ in it, as do a machine and a container with its network, which has its name.
 */
const PROCESSES = process.platform === "linux" ? ofLinux() : hostname();

function ofLinux(): string {
	try {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
		// When the first process was started, as the kernel counts: the next container may get the namespace's number.
		const [, rest = ""] = /^.*\) (.*)/s.exec(readFileSync("/proc/1/stat", "utf8")) ?? [];
		return `${boot}/${readlinkSync("/proc/self/ns/pid")}/${rest.split(" ")[19]}`;
	} catch {
		return randomUUID(); // A sandbox may hide all that: then no other run's numbers are taken for ours.
	}
}

/** Gives signs for this machine, which holds the lock, until it is disposed of. */
export function giveSigns(place: Place): AsyncDisposable {
	const give = async () => {
		const sign = `${hostname()} ${new Date().toISOString()} ${PROCESSES}`;
		const { failed, stderr } = await tag(place, "set", TAG, sign);
		if (failed) console.error(`no sign of life for runs on other machines and in containers: ${stderr}`);
	};
	let last = give();
	const timer = setInterval(() => {
		last = last.then(give);
	}, place.silence / 6);
	return {
		async [Symbol.asyncDispose]() {
			clearInterval(timer);
			await last;
		},
	};
}

/** Looks at the run that holds the stack, again and again; how long no sign came is measured by this machine's clock alone. */
export class Watch {
	readonly #place: Place;
	#seen: { sign: string; at: number } | undefined;
	/** The owner without a sign whose process was not found here. */
	#missed: string | undefined;

	constructor(place: Place) {
		this.#place = place;
	}

	/**
	 * A run that gives signs is dead where its process is gone, if that can be seen from here; elsewhere, where it gave no
	 * sign for the whole silence while it was watched. One without signs, as `pulumi up` on a laptop, is dead where two
	 * looks in a row find no process on the machine of its name; on another machine it is not judged.
	 */
	async isDead(owner: LockOwner): Promise<boolean> {
		const { failed, stdout: sign } = await tag(this.#place, "get", TAG);
		const now = performance.now();
		const [from, time, processes] = sign.split(" ");
		const { host, pid, said, since } = owner;
		const isOfThisRun = !failed && from === host && since !== undefined && new Date(time ?? Number.NaN) >= since;
		if (!isOfThisRun) {
			const before = this.#missed;
			this.#seen = undefined;
			this.#missed = host === hostname() && !isAlive(pid) ? said : undefined;
			return this.#missed !== undefined && this.#missed === before;
		}
		if (processes === PROCESSES) return !isAlive(pid);
		if (this.#seen?.sign !== sign) this.#seen = { sign, at: now };
		return now - this.#seen.at >= this.#place.silence;
	}
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}

function tag({ stack, folder }: Place, ...args: string[]) {
	return execa("pulumi", ["stack", "tag", ...args, "--stack", stack], { cwd: folder, reject: false, stdin: "ignore" });
}
