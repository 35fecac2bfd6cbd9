/** Images to push: made here, judged by crane and regctl. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tarball } from "../../host/tarball.ts";

interface Descriptor {
	mediaType: string;
	digest: string;
	size: number;
	platform?: { os: string; architecture: string };
	annotations?: Record<string, string>;
}

/** Writes an OCI layout with one index: two platforms, and the attestation of the first. Resolves with the index's digest. */
export async function writeMultiArchLayout(folder: string, text: string): Promise<string> {
	const blobs = join(folder, "blobs", "sha256");
	await mkdir(blobs, { recursive: true });
	const blob = async (mediaType: string, content: Buffer): Promise<Descriptor> => {
		const hex = createHash("sha256").update(content).digest("hex");
		await writeFile(join(blobs, hex), content);
		return { mediaType, digest: `sha256:${hex}`, size: content.length };
	};
	const json = (mediaType: string, value: object) =>
		blob(mediaType, Buffer.from(JSON.stringify({ mediaType, ...value })));
	const oci = "application/vnd.oci.image";

	const platformImage = async (architecture: string): Promise<Descriptor> => {
		const layerTar = await tarball([
			{ name: "content", mode: 0o644, content: `${text} ${architecture}\n`.repeat(1000) },
		]);
		const layer = await blob(`${oci}.layer.v1.tar+gzip`, gzipSync(layerTar));
		const diffId = `sha256:${createHash("sha256").update(layerTar).digest("hex")}`;
		const config = await blob(
			`${oci}.config.v1+json`,
			Buffer.from(
				JSON.stringify({ os: "linux", architecture, config: {}, rootfs: { type: "layers", diff_ids: [diffId] } }),
			),
		);
		const manifest = await json(`${oci}.manifest.v1+json`, { schemaVersion: 2, config, layers: [layer] });
		return { ...manifest, platform: { os: "linux", architecture } };
	};
	const images = await Promise.all(["amd64", "arm64"].map(platformImage));
	const attestation = async (): Promise<Descriptor> => {
		const statement = await blob("application/vnd.in-toto+json", Buffer.from(`{"_type":"in-toto","text":"${text}"}`));
		const config = await blob(
			`${oci}.config.v1+json`,
			Buffer.from(
				JSON.stringify({
					os: "unknown",
					architecture: "unknown",
					config: {},
					rootfs: { type: "layers", diff_ids: [] }, // crane's validation counts only what it can unpack
				}),
			),
		);
		const manifest = await json(`${oci}.manifest.v1+json`, { schemaVersion: 2, config, layers: [statement] });
		return {
			...manifest,
			platform: { os: "unknown", architecture: "unknown" },
			annotations: {
				"vnd.docker.reference.type": "attestation-manifest",
				"vnd.docker.reference.digest": images[0]?.digest as string,
			},
		};
	};
	const index = await json(`${oci}.index.v1+json`, { schemaVersion: 2, manifests: [...images, await attestation()] });
	await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
	await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [index] }));
	return index.digest;
}
