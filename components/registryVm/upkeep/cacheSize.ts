/** Which tags of a cache have to go so that it stays within its size. They can be fetched again. */
import { parseManifest } from "../../../oci/manifest.ts";
import type { Repository, Store } from "./store.ts";

const UNITS = { K: 1, M: 2, G: 3, T: 4 };

/** In bytes, of a size like "100GiB"; undefined where it is no size. */
export function bytesOf(size: string): number | undefined {
	const [, amount, unit] = /^(\d+)([KMGT])iB$/.exec(size) ?? [];
	return amount === undefined ? undefined : Number(amount) * 1024 ** UNITS[unit as keyof typeof UNITS];
}

/** A tag of a repository of the store. */
export interface StoredTag {
	repository: Repository;
	/** `repository:tag`. */
	name: string;
	tag: string;
}

/**
 * The tags that do not fit, oldest last. A cache's tag is as old as the last time that somebody asked for it, so those
 * that were asked for last are kept, as many as fit with all that they need.
 */
export function tagsBeyond(store: Store, maxBytes: number): StoredTag[] {
	const tags = store
		.repositories()
		.flatMap((name) => {
			const repository = store.repository(name);
			return repository
				.tags()
				.map((tag) => ({ repository, tag, name: `${name}:${tag}`, time: repository.tagTime(tag) }));
		})
		.sort((a, b) => b.time - a.time);
	const counted = new Set<string>();
	let bytes = 0;
	const count = (repository: Repository, digest: string) => {
		const stored = repository.storedDigest(digest);
		if (counted.has(stored)) return;
		counted.add(stored);
		bytes += store.blobSize(stored) ?? 0;
	};
	const countManifest = (repository: Repository, digest: string) => {
		// A cache has of an index only the children that somebody asked for.
		if (counted.has(digest) || !("digest" in repository.revision(digest)) || !store.blobSize(digest)) return;
		count(repository, digest);
		const manifest = parseManifest(store.readBlob(digest));
		for (const { digest: layer } of manifest.blobs) count(repository, layer);
		if (manifest.kind === "index") for (const child of manifest.manifests) countManifest(repository, child.digest);
	};
	const first = tags.findIndex(({ repository, tag }) => {
		const link = repository.tag(tag);
		if ("digest" in link) countManifest(repository, link.digest);
		return bytes > maxBytes;
	});
	return first === -1 ? [] : tags.slice(first);
}
