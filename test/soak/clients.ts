/** Those who push to the private registry, and pull from it and from a cache, whatever happens to the VM meanwhile. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { caches, published } from "../../lab/estate.ts";
import { StepError, until } from "../../lab/run.ts";
import { writeMultiArchLayout } from "../lab/image.ts";
import { env, loggedIn, run } from "../lab/lab.ts";
import type { Random } from "./random.ts";
import type { Report } from "./report.ts";

/** How long the registry may be away, with all that is done to it, and when nothing is done to it any more, in seconds. */
const [PATIENCE, PATIENCE_AT_END] = [180, 10];
/** Fewer tags in a repository than the cleanup keeps: what is acknowledged has to stay. */
const TAGS = 8;
export const repositories = [0, 1, 2, 3].map((i) => `soak/app-${i}`);

export interface Clients {
	/** Pushes one image, or pulls one, by chance. */
	once(random: Random): Promise<void>;
	/** Reads all of every image that was acknowledged; resolves with their number. */
	proveAll(): Promise<number>;
	/** Removes the local files. */
	dispose(): Promise<void>;
}

export async function clients(folder: string, report: Report): Promise<Clients> {
	const client = await loggedIn(folder);
	/** The digest under each name that was acknowledged last; undefined while it is pushed. */
	const acknowledged = new Map<string, string | undefined>();
	const crane = (...args: string[]) => run("crane", args, client);
	let pushes = 0;

	/** Tries it until it succeeds. Throws where that is never so. */
	const patiently = async (name: string, work: () => Promise<string | undefined>, patience = PATIENCE) => {
		let said = "";
		await until(name, patience, async () => {
			const problem = await work();
			if (problem === undefined) return true;
			said = problem;
			report.retried(name);
			return false;
		}).catch((error) => {
			throw error instanceof StepError ? new Error(`not so for ${patience} s: ${said}`) : error;
		});
	};

	const isPushed = (name: string) => acknowledged.has(name) && acknowledged.get(name) === undefined;
	const push = (name: string) =>
		report.counted("push", async () => {
			acknowledged.set(name, undefined);
			const layout = join(folder, `layout-${pushes++}`);
			await mkdir(layout);
			const digest = await writeMultiArchLayout(layout, `${name} ${pushes} ${Date.now()}`);
			await patiently("push", async () => {
				const { exitCode, output } = await crane("push", layout, `${env("LAB_REGISTRY")}/${name}`);
				return exitCode === 0 ? undefined : output;
			});
			await rm(layout, { recursive: true });
			acknowledged.set(name, digest);
		});

	const prove = async (name: string, patience = PATIENCE) => {
		const image = `${env("LAB_REGISTRY")}/${name}`;
		await patiently(
			"pull",
			async () => {
				const digest = acknowledged.get(name);
				if (digest === undefined) return undefined;
				const seen = await crane("digest", image);
				if (seen.exitCode !== 0) return seen.output;
				const whole = await crane("validate", "--remote", `${image}@${digest}`);
				if (acknowledged.get(name) !== digest) return undefined; // Pushed anew meanwhile.
				if (seen.stdout !== digest) throw new Error(`${name} is ${seen.stdout}, and ${digest} was acknowledged`);
				return whole.exitCode === 0 ? undefined : whole.output;
			},
			patience,
		);
	};

	const pullFromCache = (random: Random) =>
		report.counted("pull by a cache", async () => {
			const { port, upstream } = random.of(caches);
			await patiently("pull by a cache", async () => {
				const image = `127.0.0.1:${published(port)}/${upstream.repository}:1`;
				const { exitCode, output } = await crane("validate", "--remote", image, "--insecure");
				return exitCode === 0 ? undefined : output;
			});
		});

	return {
		async once(random) {
			const names = [...acknowledged.keys()].filter((name) => !isPushed(name));
			const name = `${random.of(repositories)}:v${random.below(TAGS)}`;
			const what = random.below(10);
			if (what < 4 || names.length === 0) await (isPushed(name) || push(name));
			else if (what < 8) await report.counted("pull", () => prove(random.of(names)));
			else await pullFromCache(random);
		},
		async proveAll() {
			const names = [...acknowledged.keys()].filter((name) => !isPushed(name));
			for (const name of names) await report.counted("pull at the end", () => prove(name, PATIENCE_AT_END));
			return names.length;
		},
		dispose: () => rm(folder, { recursive: true, force: true }),
	};
}
