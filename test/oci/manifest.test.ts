import { describe, expect, it } from "vitest";
import { mediaTypeOf, parseManifest } from "../../oci/manifest.ts";

const digest = (n: number) => `sha256:${String(n).repeat(64)}`;
const oci = "application/vnd.oci.image";
const docker = "application/vnd.docker.distribution.manifest";

describe("parseManifest", () => {
	it.each([
		["an OCI index", { mediaType: `${oci}.index.v1+json`, schemaVersion: 2 }],
		["an OCI index without a media type", { schemaVersion: 2 }],
		["a Docker manifest list", { mediaType: `${docker}.list.v2+json`, schemaVersion: 2 }],
	])("reads the children of %s", (_, head) => {
		const manifests = [{ digest: digest(1), size: 3, platform: { os: "linux", architecture: "arm64" } }];
		expect(parseManifest(JSON.stringify({ ...head, manifests }))).toEqual({
			kind: "index",
			manifests: [{ digest: digest(1), size: 3, platform: { os: "linux", architecture: "arm64" }, foreign: false }],
			blobs: [],
		});
	});

	it.each([
		["an OCI manifest", `${oci}.manifest.v1+json`],
		["a Docker manifest", `${docker}.v2+json`],
	])("reads config, layers and subject of %s", (_, mediaType) => {
		const config = { digest: digest(1), size: 1 };
		const layers = [{ digest: digest(2), size: 2, mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar" }];
		const subject = { digest: digest(3), size: 3 };
		expect(parseManifest(JSON.stringify({ schemaVersion: 2, mediaType, config, layers, subject }))).toEqual({
			kind: "image",
			blobs: [
				{ ...config, foreign: false },
				{ ...layers[0], foreign: true },
			],
			subject: { ...subject, foreign: false },
		});
	});

	it.each(["null", "no list"])("takes an image without layers for that, where there is %s of them", (what) => {
		const manifest = { schemaVersion: 2, config: { digest: digest(1) }, ...(what === "null" && { layers: null }) };
		expect(parseManifest(JSON.stringify(manifest))).toEqual({
			kind: "image",
			blobs: [{ digest: digest(1), foreign: false }],
		});
	});

	it("takes the entries of an index that are no manifests for blobs, as a build cache has them", () => {
		const layer = { mediaType: `${oci}.layer.v1.tar+gzip`, digest: digest(1), size: 1 };
		const cache = { mediaType: "application/vnd.buildkit.cacheconfig.v0", digest: digest(2), size: 2 };
		const child = { mediaType: `${oci}.manifest.v1+json`, digest: digest(3), size: 3 };
		const index = { schemaVersion: 2, mediaType: `${oci}.index.v1+json`, manifests: [layer, cache, child] };
		expect(parseManifest(JSON.stringify(index))).toEqual({
			kind: "index",
			manifests: [{ ...child, foreign: false }],
			blobs: [
				{ ...layer, foreign: false },
				{ ...cache, foreign: false },
			],
		});
	});

	it("takes an index whose list is null for an empty one", () => {
		const text = JSON.stringify({ schemaVersion: 2, mediaType: `${oci}.index.v1+json`, manifests: null });
		expect(parseManifest(text)).toEqual({ kind: "index", manifests: [], blobs: [] });
	});

	it("leaves out what a platform does not say", () => {
		const manifests = [{ digest: digest(1), platform: { os: "linux" } }];
		const parsed = parseManifest(JSON.stringify({ schemaVersion: 2, manifests }));
		expect(parsed).toMatchObject({ manifests: [{ platform: { os: "linux" } }] });
		expect(JSON.stringify(parsed)).not.toContain("undefined");
	});

	it("reads a digest by SHA-512", () => {
		const long = `sha512:${"a".repeat(128)}`;
		const text = JSON.stringify({ schemaVersion: 2, config: { digest: long }, layers: [] });
		expect(parseManifest(text)).toMatchObject({ blobs: [{ digest: long }] });
	});

	it("reads the layers of schema 1, which has no sizes", () => {
		const text = JSON.stringify({ schemaVersion: 1, fsLayers: [{ blobSum: digest(1) }] });
		expect(parseManifest(text)).toEqual({ kind: "image", blobs: [{ digest: digest(1), foreign: false }] });
	});

	it.each([
		["nothing", "", "is empty"],
		["half of it", '{"schemaVersion": 2, "la', "is not JSON"],
		["a list", "[]", "is not a JSON object"],
		["an unknown media type", '{"mediaType":"application/x"}', 'unknown media type "application/x"'],
		["an unknown version", '{"schemaVersion":3}', "unknown schemaVersion 3"],
		[
			"layers that are no list",
			`{"schemaVersion":2,"config":{"digest":"${digest(1)}"},"layers":1}`,
			"has no list layers",
		],
		["a digest of an unknown algorithm", '{"schemaVersion":2,"config":{"digest":"md5:12"},"layers":[]}', "in config"],
		["a short digest", '{"schemaVersion":2,"config":{"digest":"sha256:12"},"layers":[]}', "in config"],
		["a digest with a path in it", '{"schemaVersion":2,"manifests":[{"digest":"sha256:../x"}]}', "in manifests[0]"],
	])("refuses %s", (_, text, message) => {
		expect(() => parseManifest(text)).toThrow(message);
	});
});

describe("mediaTypeOf", () => {
	const config = { digest: digest(1) };
	it.each([
		["what it calls itself", { schemaVersion: 2, mediaType: `${docker}.v2+json`, config }, `${docker}.v2+json`],
		["an OCI index by its children", { schemaVersion: 2, manifests: [] }, `${oci}.index.v1+json`],
		["an OCI image by its config", { schemaVersion: 2, config }, `${oci}.manifest.v1+json`],
		["schema 1 by its version", { schemaVersion: 1, fsLayers: [] }, `${docker}.v1+json`],
	])("is %s", (_, manifest, mediaType) => {
		expect(mediaTypeOf(JSON.stringify(manifest))).toBe(mediaType);
	});
});
