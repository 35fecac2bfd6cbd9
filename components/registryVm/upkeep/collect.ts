/**
 * Gives back the space of what nothing refers to. Found by walking from the tags through the indexes, never by
 * "untagged": the children of an index have no tags (docs/adr/0009). The registry must not run meanwhile.
 */
import { rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Manifest, parseManifest } from "../../../oci/manifest.ts";
import type { Repository, Store } from "./store.ts";

export interface CollectOptions {
	/** What is younger stays, in milliseconds: it may belong to a push that is not finished. */
	grace: number;
}

export interface Garbage {
	revisions: { repository: string; digest: string }[];
	layerLinks: { repository: string; digest: string }[];
	blobs: { digest: string; size: number }[];
}

/** Throws where a manifest can't be read: what it refers to is then unknown, and nothing is garbage. */
export function findGarbage(store: Store, { grace }: CollectOptions): Garbage {
	const isYoung = (path: string) => Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < grace;
	const garbage: Garbage = { revisions: [], layerLinks: [], blobs: [] };
	const referenced = new Set<string>();
	for (const name of store.repositories()) {
		const repository = store.repository(name);
		const present = repository.revisions().filter((digest) => "digest" in repository.revision(digest));
		const manifests = new Map(present.map((digest) => [digest, parseManifest(store.readBlob(digest))]));
		const roots = present.filter((digest) => isYoung(repository.revisionLink(digest)));
		const kept = reachable(manifests, [...roots, ...tagged(repository)]);
		for (const [digest, manifest] of manifests) {
			if (!kept.has(digest)) {
				garbage.revisions.push({ repository: name, digest });
				continue;
			}
			referenced.add(digest);
			const children = manifest.kind === "index" ? manifest.manifests : [];
			for (const { digest: needed } of [...children, ...manifest.blobs])
				referenced.add(repository.storedDigest(needed));
		}
	}
	const swept = new Set<string>();
	for (const digest of store.blobs()) {
		if (referenced.has(digest) || isYoung(store.blobPath(digest))) continue;
		swept.add(digest);
		garbage.blobs.push({ digest, size: store.blobSize(digest) ?? 0 });
	}
	for (const name of store.repositories())
		for (const digest of store.repository(name).layers())
			if (swept.has(digest)) garbage.layerLinks.push({ repository: name, digest });
	return garbage;
}

/** From the roots, through indexes, and to what refers to something kept (signatures, attestations). */
function reachable(manifests: Map<string, Manifest>, roots: string[]): Set<string> {
	const kept = new Set<string>();
	const open = [...roots];
	for (;;) {
		const digest = open.pop();
		if (digest !== undefined) {
			const manifest = manifests.get(digest);
			if (manifest === undefined || kept.has(digest)) continue;
			kept.add(digest);
			if (manifest.kind === "index") open.push(...manifest.manifests.map((child) => child.digest));
			continue;
		}
		for (const [referrer, { subject }] of manifests)
			if (subject !== undefined && kept.has(subject.digest) && !kept.has(referrer)) open.push(referrer);
		if (open.length === 0) return kept;
	}
}

function tagged(repository: Repository): string[] {
	return repository.tags().flatMap((tag) => {
		const link = repository.tag(tag);
		return "digest" in link ? [link.digest] : [];
	});
}

/** Links first, then what they lead to, so that a run that is cut off leaves no link that leads nowhere. */
export function removeGarbage(store: Store, garbage: Garbage): void {
	const remove = (folder: string) => rmSync(folder, { recursive: true, force: true });
	for (const { repository: name, digest } of garbage.revisions) {
		const repository = store.repository(name);
		for (const tag of repository.tags()) remove(join(repository.tagFolder(tag), "index", digest.replace(":", "/")));
		remove(dirname(repository.revisionLink(digest)));
	}
	for (const { repository, digest } of garbage.layerLinks)
		remove(dirname(store.repository(repository).layerLink(digest)));
	for (const { digest } of garbage.blobs) remove(dirname(store.blobPath(digest)));
}
