/** Keeps the newest tags of each repository. Only tags go: what they named stays until it is collected. */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseManifest } from "../../../oci/manifest.ts";
import type { Repository, Store } from "./store.ts";

export interface CleanupOptions {
	/** How many tags a repository keeps; protected ones, and what is attached to an image, are not counted. */
	keep: number;
	/** Tags that match stay, however old. */
	protect: RegExp;
	dryRun: boolean;
	/** What is attached to an image that is not there stays as long, in milliseconds: its image may be on its way. */
	grace?: number;
}

const DAY = 24 * 3_600_000;

/**
 * A tag that names nothing by itself, but is attached to the image with that digest: a signature, an attestation or an
 * SBOM of cosign, or the list of what refers to an image in a registry that does not keep one.
 */
const ATTACHED = /^(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(\.\w+)?$/;

/** The tags that went, or would go, as `repository:tag`. */
export function cleanupTags(store: Store, { keep, protect, dryRun, grace = DAY }: CleanupOptions): string[] {
	return store.repositories().flatMap((name) => {
		const repository = store.repository(name);
		const tags = repository.tags();
		const attached = tags.filter((tag) => ATTACHED.test(tag) && !protect.test(tag));
		const old = tags
			.filter((tag) => !protect.test(tag) && !ATTACHED.test(tag))
			.map((tag) => ({ tag, time: repository.tagTime(tag) }))
			.sort((a, b) => b.time - a.time)
			.slice(keep)
			.map(({ tag }) => tag);
		const kept = tags.filter((tag) => !old.includes(tag) && !attached.includes(tag));
		const young = (tag: string) => Date.now() - repository.tagTime(tag) < grace;
		const going = [...old, ...detached(store, repository, kept, attached).filter((tag) => !young(tag))];
		for (const tag of going) if (!dryRun) removeTag(repository.tagFolder(tag));
		return going.map((tag) => `${name}:${tag}`);
	});
}

/** Of the attached tags those whose image no kept tag leads to, not even by way of another attached one. */
function detached(store: Store, repository: Repository, kept: string[], attached: string[]): string[] {
	const reached = new Set<string>();
	const reach = (digest: string) => {
		if (reached.has(digest)) return;
		reached.add(digest);
		if (store.blobSize(digest) === undefined) return;
		const manifest = parseManifest(store.readBlob(digest));
		if (manifest.kind === "index") for (const child of manifest.manifests) reach(child.digest);
	};
	const follow = (tag: string) => {
		const link = repository.tag(tag);
		if ("digest" in link) reach(link.digest);
	};
	kept.forEach(follow);
	let left = attached;
	for (;;) {
		const found = left.filter((tag) => reached.has(imageOf(tag)));
		if (found.length === 0) return left;
		found.forEach(follow);
		left = left.filter((tag) => !found.includes(tag));
	}
}

/** The digest of what the tag is attached to. */
function imageOf(tag: string): string {
	return tag.replace(ATTACHED, "$1:$2");
}

/** Out of the registry's sight in one step: a tag with half its files would answer 500. */
export function removeTag(folder: string): void {
	const aside = mkdtempSync(join(dirname(dirname(folder)), "removed-"));
	renameSync(folder, join(aside, "tag"));
	rmSync(aside, { recursive: true });
}
