/** A repository that is always there, by which the probe knows that it reads the right registry's catalog. */
import type { Api } from "./api.ts";

const EMPTY = "application/vnd.oci.empty.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

/** Pushes the smallest image there is, as `latest`, which the tag cleanup keeps. */
export async function pushCanary(api: Api, repository: string): Promise<void> {
	const empty = { mediaType: EMPTY, ...(await api.putBlob(repository, Buffer.from("{}"))) };
	const manifest = { schemaVersion: 2, mediaType: MANIFEST, config: empty, layers: [empty] };
	await api.putManifest(repository, "latest", Buffer.from(JSON.stringify(manifest)), MANIFEST);
}
