/** Puts back the children of indexes whose content is still there: the registry only forgot that it has them. */
import { ManifestError, mediaTypeOf } from "../../../oci/manifest.ts";
import { type Api, ApiError } from "./api.ts";
import type { Finding } from "./scan.ts";
import type { Store } from "./store.ts";

export interface Relinked {
	repository: string;
	digest: string;
	/** Why it is no manifest, or the registry did not take it; undefined where it did. */
	problem?: string;
}

/** The same bytes put by their digest again; the registry looks by itself whether all they need is there. */
export async function relink(store: Store, findings: Finding[], api: Api): Promise<Relinked[]> {
	const results: Relinked[] = [];
	for (const { repository, relinkable } of findings) {
		if (relinkable === undefined) continue;
		const { digest, mediaType } = relinkable;
		if (results.some((done) => done.repository === repository && done.digest === digest)) continue;
		try {
			const content = store.readBlob(digest);
			await api.putManifest(repository, digest, content, mediaType ?? mediaTypeOf(content));
			results.push({ repository, digest });
		} catch (error) {
			if (!(error instanceof ApiError || error instanceof ManifestError)) throw error;
			results.push({ repository, digest, problem: error.message });
		}
	}
	return results;
}
