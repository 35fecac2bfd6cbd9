/** A registry's storage with many images, written as the registry itself lays it out, without pushing any. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OCI = "application/vnd.oci.image";
const ARCHITECTURES = ["amd64", "arm64"];

export interface Size {
	tags: number;
	/** How many of the tags are indexes of two images. */
	indexes: number;
	/** In each image; half of them are those of the image before it in the same repository. */
	layers: number;
	repositories: number;
}

/** Writes it below `root`, which is what the registry has as its `rootdirectory`. */
export function writeStore(root: string, { tags, indexes, layers, repositories }: Size): void {
	const base = join(root, "docker/registry/v2");
	/** Images, by repository. */
	const made = new Map<string, number>();
	for (let tag = 0; tag < tags; tag++) {
		const repository = `bench/app-${tag % repositories}`;
		const of = join(base, "repositories", repository);
		const blob = (content: string) => {
			const digest = createHash("sha256").update(content).digest("hex");
			const folder = join(base, "blobs/sha256", digest.slice(0, 2), digest);
			mkdirSync(folder, { recursive: true });
			writeFileSync(join(folder, "data"), content);
			return { digest: `sha256:${digest}`, size: Buffer.byteLength(content), hex: digest };
		};
		const link = (path: string, digest: string) => {
			mkdirSync(join(of, path), { recursive: true });
			writeFileSync(join(of, path, "link"), digest);
		};
		const layer = (content: string) => {
			const { digest, size, hex } = blob(content);
			link(`_layers/sha256/${hex}`, digest);
			return { digest, size };
		};
		const manifest = (body: object) => {
			const { digest, size, hex } = blob(JSON.stringify(body));
			link(`_manifests/revisions/sha256/${hex}`, digest);
			return { digest, size };
		};
		const image = (architecture: string) => {
			const nth = made.get(repository) ?? 0;
			made.set(repository, nth + 1);
			const first = Math.floor((nth * layers) / 2);
			const all = Array.from({ length: layers }, (_, i) => ({
				mediaType: `${OCI}.layer.v1.tar`,
				...layer(`${repository} layer ${first + i} `.repeat(20)),
			}));
			// As it is of layers that are not packed.
			const rootfs = { type: "layers", diff_ids: all.map(({ digest }) => digest) };
			const created = new Date((nth + 1) * 1000).toISOString();
			const config = layer(JSON.stringify({ os: "linux", architecture, created, config: {}, rootfs }));
			const mediaType = `${OCI}.manifest.v1+json`;
			const body = {
				schemaVersion: 2,
				mediaType,
				config: { mediaType: `${OCI}.config.v1+json`, ...config },
				layers: all,
			};
			return { mediaType, ...manifest(body), platform: { os: "linux", architecture } };
		};
		const mediaType = `${OCI}.index.v1+json`;
		const top =
			tag < indexes
				? manifest({ schemaVersion: 2, mediaType, manifests: ARCHITECTURES.map(image) })
				: image(ARCHITECTURES[0] as string);
		const name = tag === 0 ? "latest" : `v${tag}`;
		link(`_manifests/tags/${name}/current`, top.digest);
		link(`_manifests/tags/${name}/index/sha256/${top.digest.slice("sha256:".length)}`, top.digest);
	}
}
