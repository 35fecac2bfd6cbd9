/**
 * Puts a repository right with what is on this machine: children that only lost their link, content that another
 * registry's storage still has, links that were lost. What has the wrong content is set aside first.
 */
import { existsSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { type Descriptor, ManifestError, mediaTypeOf, parseManifest } from "../../../oci/manifest.ts";
import { type Api, ApiError } from "./api.ts";
import type { Repository, Store } from "./store.ts";

export interface Repair {
	/** What is there again, as sentences. */
	restored: string[];
	/** What no copy was found of, or the registry refuses, as sentences. */
	missing: string[];
}

interface Sources {
	/** The storage to put right. */
	store: Store;
	/** Other registries' storages, by name, which may have the same content. */
	others: Record<string, Store>;
}

/** Walks from the repository's tags; everything below them that is not as it should be is put back where it can be had. */
export async function repair(name: string, { store, others }: Sources, api: Api): Promise<Repair> {
	const result: Repair = { restored: [], missing: [] };
	const repository = store.repository(name);
	const done = new Set<string>();
	for (const tag of repository.tags()) {
		const link = repository.tag(tag);
		if ("digest" in link) await restoreManifest({ digest: link.digest, foreign: false }, `${name}:${tag}`);
		else await restoreTag(tag, link.problem);
	}
	return result;

	/**
	 * The tag gets what was pushed to it last, of what is whole; where that is nothing, it goes, so that it can be pushed
	 * again. What somebody pushes meanwhile stays.
	 */
	async function restoreTag(tag: string, problem: string): Promise<void> {
		const isPushed = () => "digest" in repository.tag(tag);
		for (const digest of repository.tagHistory(tag)) {
			const bytes = contentOf(digest)?.bytes;
			if (bytes === undefined) continue;
			await restoreManifest({ digest, foreign: false }, `${name}:${tag}`);
			if (isPushed()) return;
			try {
				await api.putManifest(name, tag, bytes, mediaTypeOf(bytes));
			} catch (error) {
				if (!(error instanceof ApiError || error instanceof ManifestError)) throw error;
				result.missing.push(`${name}:${tag} as ${digest}: ${error.message}`);
				continue;
			}
			result.restored.push(
				`${name}:${tag}, which ${problem}: it is ${digest} again, the last that was pushed to it whole`,
			);
			return;
		}
		if (isPushed()) return;
		forgetBrokenLink(repository.tagLink(tag));
		result.missing.push(`${name}:${tag}: it ${problem}, and nothing whole was ever pushed to it; push it again`);
	}

	/** Its content first, then what is below it, then its link: a registry takes an index only when it has the children. */
	async function restoreManifest(descriptor: Descriptor, neededBy: string): Promise<void> {
		const { digest } = descriptor;
		if (done.has(digest)) return;
		done.add(digest);
		const content = contentOf(digest);
		if (content === undefined) {
			result.missing.push(`the manifest ${digest} of ${neededBy}`);
			return;
		}
		let manifest: ReturnType<typeof parseManifest>;
		try {
			manifest = parseManifest(content.bytes);
		} catch (error) {
			if (!(error instanceof ManifestError)) throw error;
			result.missing.push(`the manifest ${digest} of ${neededBy}: it ${error.message}`);
			return;
		}
		if (manifest.kind === "index")
			for (const child of manifest.manifests) await restoreManifest(child, `${neededBy}, ${digest}`);
		for (const blob of manifest.blobs) if (!blob.foreign) await restoreBlob(blob, `${neededBy}, ${digest}`);
		if (content.source === "here" && leadsTo(repository, "revision", digest)) return;
		const mediaType = descriptor.mediaType ?? mediaTypeOf(content.bytes);
		forgetBrokenLink(repository.revisionLink(digest));
		await put(`the manifest ${digest} of ${neededBy}`, content.source, () =>
			api.putManifest(name, digest, content.bytes, mediaType),
		);
	}

	async function restoreBlob({ digest }: Descriptor, neededBy: string): Promise<void> {
		if (done.has(digest)) return;
		done.add(digest);
		const content = contentOf(digest);
		if (content === undefined) {
			result.missing.push(`${digest}, needed by ${neededBy}`);
			return;
		}
		if (content.source === "here" && leadsTo(repository, "layer", digest)) return;
		forgetBrokenLink(repository.layerLink(digest));
		await put(`${digest}, needed by ${neededBy}`, content.source, () => api.putBlob(name, content.bytes));
	}

	async function put(what: string, source: string, work: () => Promise<unknown>): Promise<void> {
		try {
			await work();
			result.restored.push(`${what}: ${source === "here" ? "linked again" : `copied from ${source}`}`);
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			result.missing.push(`${what}: ${error.message}`);
		}
	}

	/** The right bytes, wherever they are on this machine; wrong ones here are set aside. */
	function contentOf(digest: string): { bytes: Buffer; source: string } | undefined {
		if (store.blobSize(digest) !== undefined) {
			if (store.isWhole(digest)) return { bytes: store.readBlob(digest), source: "here" };
			const target = store.setAside(digest);
			result.restored.push(`set aside ${digest}, which had other content, as ${target}`);
		}
		for (const [source, other] of Object.entries(others))
			if (other.isWhole(digest)) return { bytes: other.readBlob(digest), source };
		return undefined;
	}
}

function leadsTo(repository: Repository, kind: "revision" | "layer", digest: string): boolean {
	const link = repository[kind](digest);
	return "digest" in link && link.digest === digest;
}

/** The registry answers 500 while an empty or malformed link is there. */
function forgetBrokenLink(link: string): void {
	if (existsSync(link)) rmSync(dirname(link), { recursive: true });
}
