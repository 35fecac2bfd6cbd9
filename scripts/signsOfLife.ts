/**
 * Signs of life of the deploy that holds a stack, in one of the stack's tags, which a state of every kind has: by them, a
 * run on another machine can tell whether the one whose lock it finds is still at work. A sign is the machine's name and
 * its time; the last one stays, and says nothing about a lock that is newer.
 */
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

/** Gives signs for this machine, which holds the lock, until it is disposed of. */
export function giveSigns(place: Place): AsyncDisposable {
	const give = async () => {
		const { failed, stderr } = await tag(place, "set", TAG, `${hostname()} ${new Date().toISOString()}`);
		if (failed) console.error(`no sign of life for runs on other machines: ${stderr}`);
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

/** Looks for the signs of a run on another machine; how long none came is measured by this machine's clock alone. */
export class Watch {
	readonly #place: Place;
	#seen: { sign: string; at: number } | undefined;

	constructor(place: Place) {
		this.#place = place;
	}

	/**
	 * True where that run has given signs since it took the lock, and none for the whole silence while it was watched. One
	 * that never gave any, as `pulumi up` on a laptop, is not judged.
	 */
	async isDead({ host, since }: LockOwner): Promise<boolean> {
		const { failed, stdout: sign } = await tag(this.#place, "get", TAG);
		const now = performance.now();
		const [from, time] = sign.split(" ");
		const isOfThisRun = !failed && from === host && since !== undefined && new Date(time ?? Number.NaN) >= since;
		if (!isOfThisRun) this.#seen = undefined;
		else if (this.#seen?.sign !== sign) this.#seen = { sign, at: now };
		return this.#seen !== undefined && now - this.#seen.at >= this.#place.silence;
	}
}

function tag({ stack, folder }: Place, ...args: string[]) {
	return execa("pulumi", ["stack", "tag", ...args, "--stack", stack], { cwd: folder, reject: false, stdin: "ignore" });
}
