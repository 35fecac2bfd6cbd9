/**
 * One look at everything in a registry: every repository, every tag, every piece. A registry that is too large for the
 * time that there is, is looked at in shares: each run begins somewhere else.
 */
import { type Registry, RegistryError } from "../../../oci/registry.ts";
import { type Defect, type Walk, walk } from "../../../oci/walk.ts";
import { INTERVAL } from "../names.ts";

/** In how many runs every blob was read whole once: those of a week. */
const RUNS_A_WEEK = (7 * 24 * 3600) / INTERVAL;
/** Repositories that are looked at side by side; the client itself bounds its connections. */
const SIDE_BY_SIDE = 4;
/** Tags of a repository of which is kept in memory what was asked: what two such parts share is asked for in both. */
const AT_ONCE = 500;
/** Steps of this share of a circle come near every place of it in the fewest of them (it is the golden ratio's). */
const STEP = (Math.sqrt(5) - 1) / 2;

export interface ProbeOptions {
	/** As the registry names itself, so that another one is not taken for it. */
	name: string;
	/** A repository that is always there. */
	canary: string;
	/** In milliseconds since 1970; decides where this run begins, and which blobs it reads whole. */
	now: number;
	/** After how many milliseconds nothing new is begun. */
	budget: number;
}

export interface Report {
	/** Why nothing was looked at: not the registry that was meant, or its catalog is not to be had. */
	inaccessible?: string;
	defects: Defect[];
	/** Questions that were not answered, as sentences. */
	inconclusive: string[];
	repositories: number;
	tags: number;
	indexes: number;
	/** Repositories of which not everything was looked at, because the time was over. */
	left: string[];
	/** What was looked at of all repositories, from 0 to 1. */
	coverage: number;
}

/** Never throws for what the registry does. */
export async function probe(registry: Registry, { name, canary, now, budget }: ProbeOptions): Promise<Report> {
	const end = performance.now() + budget;
	const isOver = () => performance.now() > end;
	const counts = { repositories: 0, tags: 0, indexes: 0 };
	const report: Report = { defects: [], inconclusive: [], ...counts, left: [], coverage: 0 };
	let all: string[];
	try {
		all = await catalog(registry, name, canary);
	} catch (error) {
		if (!(error instanceof RegistryError)) throw error;
		return { ...report, inaccessible: error.message };
	}
	const run = Math.floor(now / 1000 / INTERVAL);
	const deep = (digest: string) => turnOf(digest) === run % RUNS_A_WEEK;
	const waiting = from(all, run);
	let shares = 0;
	/** Resolves with the share of the repository that was looked at. */
	const lookAt = async (repository: string) => {
		const tags = from(await registry.tags(repository), run);
		let looked = 0;
		do {
			const part = tags.slice(looked, looked + AT_ONCE);
			const first = await walk(registry, repository, part, { deep, isOver });
			looked += first.begun;
			report.indexes += first.indexes;
			report.inconclusive.push(...first.inconclusive);
			if (first.defects.length > 0) report.defects.push(...(await lookAgain(registry, repository, first, report)));
		} while (looked < tags.length && !isOver());
		report.repositories++;
		report.tags += looked;
		return tags.length === 0 ? 1 : looked / tags.length;
	};
	const worker = async () => {
		while (waiting.length > 0 && !isOver()) {
			const repository = waiting.shift() as string;
			try {
				const share = await lookAt(repository);
				shares += share;
				if (share < 1) report.left.push(repository);
			} catch (error) {
				if (!(error instanceof RegistryError)) throw error;
				report.inconclusive.push(error.message);
			}
		}
	};
	await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
	report.left.push(...waiting);
	// What could not be looked at for another reason is counted as inconclusive, and not here.
	report.coverage = report.left.length === 0 ? 1 : shares / all.length;
	return report;
}

/** All of them, beginning with the one whose turn it is in that run. */
function from<T>(all: T[], run: number): T[] {
	const first = Math.floor(((run * STEP) % 1) * all.length);
	return [...all.slice(first), ...all.slice(0, first)];
}

/** All repositories, once it is sure whose they are: nginx, or DNS, may lead to another registry. */
async function catalog(registry: Registry, name: string, canary: string): Promise<string[]> {
	const found = await registry.identity();
	if (found.status >= 500) throw new RegistryError(`it answers ${found.status}`);
	if (found.status !== 401)
		throw new RegistryError(`it should want credentials, and answered ${found.status} without: not the registry meant`);
	if (found.name !== name) throw new RegistryError(`it calls itself ${found.name ?? "nothing"} instead of ${name}`);
	const repositories = await registry.catalog();
	if (!repositories.includes(canary))
		throw new RegistryError(
			`its catalog has ${repositories.length} repositories, but not ${canary}: another registry's, or its storage is gone`,
		);
	return repositories;
}

/**
 * A tag that was pushed or taken away meanwhile looks broken once; what is broken stays so. Where the second look
 * can't tell, the first one stands.
 */
async function lookAgain(registry: Registry, repository: string, first: Walk, report: Report): Promise<Defect[]> {
	try {
		const there = new Set(await registry.tags(repository));
		const concerned = new Set(first.defects.flatMap(({ references }) => references).filter((tag) => there.has(tag)));
		const suspects = new Set(first.defects.map(({ subject }) => subject));
		const second = await walk(registry, repository, [...concerned], { deep: (digest) => suspects.has(digest) });
		report.inconclusive.push(...second.inconclusive);
		if (second.inconclusive.length > 0) return first.defects;
		return second.defects.filter(({ subject }) => suspects.has(subject));
	} catch (error) {
		if (!(error instanceof RegistryError)) throw error;
		report.inconclusive.push(error.message);
		return first.defects;
	}
}

/** Which of the week's runs reads the blob whole. */
function turnOf(digest: string): number {
	return Number.parseInt(digest.slice("sha256:".length, "sha256:".length + 8), 16) % RUNS_A_WEEK;
}
