/** Keeps the newest tags of each repository. Only tags go: what they named stays until it is collected. */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Store } from "./store.ts";

export interface CleanupOptions {
	/** How many tags a repository keeps, protected ones not counted. */
	keep: number;
	/** Tags that match stay, however old. */
	protect: RegExp;
	dryRun: boolean;
}

/** The tags that went, or would go, as `repository:tag`. */
export function cleanupTags(store: Store, { keep, protect, dryRun }: CleanupOptions): string[] {
	return store.repositories().flatMap((name) => {
		const repository = store.repository(name);
		const old = repository
			.tags()
			.filter((tag) => !protect.test(tag))
			.map((tag) => ({ tag, time: repository.tagTime(tag) }))
			.sort((a, b) => b.time - a.time)
			.slice(keep);
		for (const { tag } of old) if (!dryRun) remove(repository.tagFolder(tag));
		return old.map(({ tag }) => `${name}:${tag}`);
	});
}

/** Out of the registry's sight in one step: a tag with half its files would answer 500. */
function remove(folder: string): void {
	const aside = mkdtempSync(join(dirname(dirname(folder)), "removed-"));
	renameSync(folder, join(aside, "tag"));
	rmSync(aside, { recursive: true });
}
