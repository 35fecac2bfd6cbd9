/**
 * Signs of life of a deploy, in the stack's tags, which a state of every kind has: by them, a run on another machine can
 * tell whether the one whose lock it finds is still at work.
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { execa } from "execa";

export interface Place {
	stack: string;
	/** Of the project. */
	folder: string;
	/** How long no sign means that the run is dead, in milliseconds; signs are given six times as often. */
	silence: number;
}

/** Gives signs for this machine until it is disposed of; the first one has been given when it resolves. */
export async function giveSigns(place: Place): Promise<AsyncDisposable> {
	const tag = tagOf(hostname());
	const give = async () => {
		const { failed, stderr } = await tags(place, "set", tag, `${hostname()} ${new Date().toISOString()}`);
		if (failed) console.error(`no sign of life for runs on other machines: ${stderr}`);
	};
	await give();
	let last = Promise.resolve();
	const timer = setInterval(() => {
		last = last.then(give);
	}, place.silence / 6);
	return {
		async [Symbol.asyncDispose]() {
			clearInterval(timer);
			await last;
			await tags(place, "rm", tag);
		},
	};
}

/** Looks for the signs of runs on other machines, by this machine's clock alone. */
export class Watch {
	readonly #place: Place;
	#seen: { sign: string; since: number } | undefined;

	constructor(place: Place) {
		this.#place = place;
	}

	/**
	 * True where the run on the machine of that name has given signs, and none for the whole silence while it was watched.
	 * One that never gave any, as `pulumi up` on a laptop, is not judged.
	 */
	async isDead(host: string): Promise<boolean> {
		const { failed, stdout } = await tags(this.#place, "get", tagOf(host));
		const now = performance.now();
		if (failed) this.#seen = undefined;
		else if (this.#seen?.sign !== stdout) this.#seen = { sign: stdout, since: now };
		return this.#seen !== undefined && now - this.#seen.since >= this.#place.silence;
	}

	/** Removes what a dead run left. */
	async forget(host: string): Promise<void> {
		this.#seen = undefined;
		await tags(this.#place, "rm", tagOf(host));
	}
}

/** Pulumi takes no more than 40 characters. */
function tagOf(host: string): string {
	return `deploy.${createHash("sha256").update(host).digest("hex").slice(0, 16)}`;
}

function tags({ stack, folder }: Place, ...args: string[]) {
	return execa("pulumi", ["stack", "tag", ...args, "--stack", stack], { cwd: folder, reject: false, stdin: "ignore" });
}
