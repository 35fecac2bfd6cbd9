/** What a manifest refers to, whatever its format: OCI, Docker schema 2, or Docker schema 1. */

import { createHash } from "node:crypto";

/** One thing a manifest names. */
export interface Descriptor {
	/** `sha256:<64 hex>` or `sha512:<128 hex>`. */
	digest: string;
	/** In bytes; undefined in schema 1, which does not say. */
	size?: number;
	mediaType?: string;
	/** Of an index's child, as far as the index says it. */
	platform?: { os?: string; architecture?: string };
	/** True for a layer that is meant to be fetched from elsewhere and that a registry need not have. */
	foreign: boolean;
}

export type Manifest =
	| {
			kind: "index";
			manifests: Descriptor[];
			/** Entries of an index that are no manifests: a build cache has its layers there. */
			blobs: Descriptor[];
			subject?: Descriptor;
	  }
	| { kind: "image"; blobs: Descriptor[]; subject?: Descriptor };

/** The content is not a manifest of a known format; the message says why. */
export class ManifestError extends Error {}

/** As registries name content; by the algorithm of `like`, a digest, where that is given. */
export function digestOf(content: Buffer, like = "sha256:"): string {
	const algorithm = algorithmOf(like);
	return `${algorithm}:${createHash(algorithm).update(content).digest("hex")}`;
}

/** `sha256` or `sha512`. */
export function algorithmOf(digest: string): "sha256" | "sha512" {
	return digest.startsWith("sha512:") ? "sha512" : "sha256";
}

export const DIGEST = /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

const INDEX_TYPES = [
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
];
const IMAGE_TYPES = [
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
];
const SCHEMA1_TYPES = [
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/** In bytes. A manifest is small; a registry itself takes no more. */
export const MANIFEST_LIMIT = 4 * 1024 * 1024;

/** Every media type that `parseManifest` knows, for an Accept header. */
export const MANIFEST_TYPES = [...INDEX_TYPES, ...IMAGE_TYPES, ...SCHEMA1_TYPES];

/** Throws a ManifestError where the content is not a manifest, or is one of an unknown format. */
export function parseManifest(content: string | Buffer): Manifest {
	let json: unknown;
	try {
		json = JSON.parse(content.toString());
	} catch {
		throw new ManifestError(content.length === 0 ? "is empty" : "is not JSON");
	}
	if (!isObject(json)) throw new ManifestError("is not a JSON object");
	const { mediaType, schemaVersion, subject } = json;
	if (mediaType !== undefined && !MANIFEST_TYPES.includes(mediaType as string)) {
		throw new ManifestError(`has the unknown media type ${JSON.stringify(mediaType)}`);
	}
	const withSubject = subject === undefined ? {} : { subject: descriptor(subject, "subject") };
	if (schemaVersion === 1) {
		return {
			kind: "image",
			blobs: list(json, "fsLayers").map((layer, i) =>
				descriptor({ digest: isObject(layer) ? layer["blobSum"] : undefined }, `fsLayers[${i}]`),
			),
		};
	}
	if (schemaVersion !== 2) throw new ManifestError(`has the unknown schemaVersion ${JSON.stringify(schemaVersion)}`);
	const saysIndex = INDEX_TYPES.includes(mediaType as string);
	if (saysIndex || (Array.isArray(json["manifests"]) && !IMAGE_TYPES.includes(mediaType as string))) {
		const entries = list(json, "manifests").map((child, i) => descriptor(child, `manifests[${i}]`));
		const isManifest = (entry: Descriptor) => entry.mediaType === undefined || MANIFEST_TYPES.includes(entry.mediaType);
		return {
			kind: "index",
			manifests: entries.filter(isManifest),
			blobs: entries.filter((entry) => !isManifest(entry)),
			...withSubject,
		};
	}
	const blobs = [
		descriptor(json["config"], "config"),
		...list(json, "layers").map((layer, i) => descriptor(layer, `layers[${i}]`)),
	];
	return { kind: "image", blobs, ...withSubject };
}

/** What the manifest calls itself, or, where it does not, as OCI allows, what its form is. Throws as `parseManifest`. */
export function mediaTypeOf(content: string | Buffer): string {
	const { kind } = parseManifest(content);
	const { mediaType, schemaVersion } = JSON.parse(content.toString());
	if (mediaType !== undefined) return mediaType;
	const [ofKind] = kind === "index" ? INDEX_TYPES : schemaVersion === 1 ? SCHEMA1_TYPES : IMAGE_TYPES;
	return ofKind as string;
}

function descriptor(value: unknown, where: string): Descriptor {
	if (!isObject(value) || typeof value["digest"] !== "string" || !DIGEST.test(value["digest"])) {
		throw new ManifestError(`has no digest of the form sha256:<64 hex> or sha512:<128 hex> in ${where}`);
	}
	const { digest, size, mediaType, platform } = value;
	return {
		digest,
		...(typeof size === "number" && { size }),
		...(typeof mediaType === "string" && { mediaType }),
		...(isObject(platform) && {
			platform: {
				...(typeof platform["os"] === "string" && { os: platform["os"] }),
				...(typeof platform["architecture"] === "string" && { architecture: platform["architecture"] }),
			},
		}),
		foreign: typeof mediaType === "string" && /foreign|nondistributable/.test(mediaType),
	};
}

function list(json: Record<string, unknown>, key: string): unknown[] {
	const value = json[key] ?? []; // An image without layers, as registries take it.
	if (!Array.isArray(value)) throw new ManifestError(`has no list ${key}`);
	return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
