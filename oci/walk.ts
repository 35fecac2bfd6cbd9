/** Walks an image from its manifest to its last layer, and tells all that is missing or not what it should be. */
import { createHash } from "node:crypto";
import { type Descriptor, type Manifest, ManifestError, parseManifest } from "./manifest.ts";
import type { Registry } from "./registry.ts";

export interface Defect {
	repository: string;
	/** The tag or digest the walk began with. */
	reference: string;
	/** What is broken. */
	digest: string;
	/** What was expected and what came, a sentence without its subject. */
	detail: string;
}

export interface Walk {
	defects: Defect[];
	manifests: number;
	blobs: number;
}

export interface WalkOptions {
	/** True to read every blob whole and check its digest; else a blob is asked for its length and its last byte. */
	deep?: boolean;
}

/** A config is JSON; a larger one is taken for no config. */
const CONFIG_LIMIT = 8 * 1024 * 1024;

/** Every descriptor is visited once. Throws a RegistryError where something could not be told. */
export async function walk(
	registry: Registry,
	repository: string,
	reference: string,
	{ deep = false }: WalkOptions = {},
): Promise<Walk> {
	const result: Walk = { defects: [], manifests: 0, blobs: 0 };
	const seen = new Set<string>();
	const defect = (digest: string, detail: string) => result.defects.push({ repository, reference, digest, detail });

	await visitManifest(reference);
	return result;

	async function visitManifest(which: string, descriptor?: Descriptor): Promise<void> {
		if (seen.has(which)) return;
		seen.add(which);
		result.manifests++;
		const { status, body, digest: said } = await registry.manifest(repository, which);
		if (status !== 200) {
			defect(which, `is not there: the registry answered ${status}`);
			return;
		}
		const digest = digestOf(body);
		const expected = descriptor?.digest ?? (which.startsWith("sha256:") ? which : said);
		if (expected !== undefined && digest !== expected) {
			defect(which, `has the digest ${digest} instead of ${expected}`);
			return;
		}
		if (descriptor?.size !== undefined && body.length !== descriptor.size)
			defect(which, `has ${body.length} bytes instead of ${descriptor.size}`);
		let manifest: Manifest;
		try {
			manifest = parseManifest(body);
		} catch (error) {
			if (!(error instanceof ManifestError)) throw error;
			defect(which, error.message);
			return;
		}
		if (manifest.kind === "index") {
			await Promise.all(manifest.manifests.map((child) => visitManifest(child.digest, child)));
			return;
		}
		const [config, ...layers] = manifest.blobs;
		await Promise.all([
			...(config ? [visitConfig(config, descriptor)] : []),
			...layers.filter(({ foreign }) => !foreign).map(visitBlob),
		]);
	}

	/** A config is small enough to be read whole, and says for which platform the image is. */
	async function visitConfig(config: Descriptor, manifest?: Descriptor): Promise<void> {
		if (config.mediaType === undefined || config.size === undefined || config.size > CONFIG_LIMIT) {
			await visitBlob(config);
			return;
		}
		if (seen.has(config.digest)) return;
		seen.add(config.digest);
		result.blobs++;
		const { status, body } = await registry.blob(repository, config.digest, config.size);
		if (status !== 200) return void defect(config.digest, `is not there: the registry answered ${status}`);
		if (digestOf(body) !== config.digest)
			return void defect(config.digest, `has ${body.length} bytes with another digest, instead of ${config.size}`);
		const wanted = manifest?.platform;
		if (wanted === undefined || wanted.os === "unknown") return;
		const { os, architecture } = JSON.parse(body.toString()) as { os?: string; architecture?: string };
		if (os !== wanted.os || architecture !== wanted.architecture)
			defect(config.digest, `is for ${os}/${architecture}, and its index says ${wanted.os}/${wanted.architecture}`);
	}

	async function visitBlob({ digest, size }: Descriptor): Promise<void> {
		if (seen.has(digest)) return;
		seen.add(digest);
		result.blobs++;
		if (deep) {
			await readWhole(digest, size);
			return;
		}
		const head = await registry.head(repository, digest);
		if (head.status !== 200) return void defect(digest, `is not there: the registry answered ${head.status}`);
		if (size === undefined) return;
		if (head.length !== size) return void defect(digest, `has ${head.length} bytes instead of ${size}`);
		if (size === 0) return;
		// A registry may answer HEAD from memory for what is gone; the last byte it has to read.
		const last = await registry.lastByte(repository, digest, size);
		if (last.status === 200)
			await readWhole(digest, size); // It does not know ranges.
		else if (last.status !== 206 || last.body.length !== 1)
			defect(digest, `can't be read to its end: the registry answered ${last.status} with ${last.body.length} bytes`);
	}

	async function readWhole(digest: string, size: number | undefined): Promise<void> {
		const found = await registry.digest(repository, digest);
		if (found.status !== 200) defect(digest, `is not there: the registry answered ${found.status}`);
		else if (found.digest !== digest) defect(digest, `has ${found.size} bytes with another digest, instead of ${size}`);
	}
}

function digestOf(content: Buffer): string {
	return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
