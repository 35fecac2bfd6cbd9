/** One look at everything in a registry: every repository, every tag, every piece. */
import { type Registry, RegistryError } from "../../../oci/registry.ts";
import { type Defect, type Walk, walk } from "../../../oci/walk.ts";
import { INTERVAL } from "../names.ts";

/** In how many runs every blob was read whole once: those of a week. */
const RUNS_A_WEEK = (7 * 24 * 3600) / INTERVAL;
/** Repositories that are looked at side by side; the client itself bounds its connections. */
const SIDE_BY_SIDE = 4;

export interface ProbeOptions {
	/** As the registry names itself, so that another one is not taken for it. */
	name: string;
	/** A repository that is always there. */
	canary: string;
	/** In milliseconds since 1970; decides which blobs are read whole in this run. */
	now: number;
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
}

/** Never throws for what the registry does. */
export async function probe(registry: Registry, { name, canary, now }: ProbeOptions): Promise<Report> {
	const report: Report = { defects: [], inconclusive: [], repositories: 0, tags: 0, indexes: 0 };
	let waiting: string[];
	try {
		waiting = await catalog(registry, name, canary);
	} catch (error) {
		if (!(error instanceof RegistryError)) throw error;
		return { ...report, inaccessible: error.message };
	}
	const deep = (digest: string) => turnOf(digest) === Math.floor(now / 1000 / INTERVAL) % RUNS_A_WEEK;
	const worker = async () => {
		for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
			const repository = next;
			try {
				const tags = await registry.tags(repository);
				const first = await walk(registry, repository, tags, { deep });
				report.repositories++;
				report.tags += tags.length;
				report.indexes += first.indexes;
				report.inconclusive.push(...first.inconclusive);
				if (first.defects.length > 0) report.defects.push(...(await lookAgain(registry, repository, first, report)));
			} catch (error) {
				if (!(error instanceof RegistryError)) throw error;
				report.inconclusive.push(error.message);
			}
		}
	};
	await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
	return report;
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
