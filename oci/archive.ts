/**
 * An image in one file, a tar: an OCI layout, which crane, skopeo and containerd read, with the list that `docker load`
 * wants besides. Nothing is kept in memory but manifests.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import {
	algorithmOf,
	type Descriptor,
	digestOf,
	MANIFEST_LIMIT,
	type Manifest,
	ManifestError,
	mediaTypeOf,
	parseManifest,
} from "./manifest.ts";
import type { Reference } from "./reference.ts";
import { type Registry, RegistryError } from "./registry.ts";

/** The file is not such an archive, or not whole; the message says why. */
export class ArchiveError extends Error {}

/** What went into a file, or came out of it. */
export interface Copied {
	/** Of the image: of its index, where it has one. */
	digest: string;
	manifests: number;
	blobs: number;
	/** Of the blobs, in bytes. */
	bytes: number;
}

/** A manifest as it came, and what it is. */
interface Fetched {
	digest: string;
	mediaType: string;
	content: Buffer;
	manifest: Manifest;
	platform: Descriptor["platform"];
}

/**
 * Writes the image to the file, which gets its name when it is whole; each piece is checked against its digest on the way.
 * Throws a RegistryError where a piece can't be had, or is another one, and an ArchiveError where the file can't be written.
 */
export async function saveImage(registry: Registry, image: Reference, name: string, file: string): Promise<Copied> {
	const { repository } = image;
	const half = `${file}.half`;
	const pack = tar.pack();
	const written = pipeline(pack as unknown as Readable, createWriteStream(half, { mode: 0o600 }));
	written.catch(() => {}); // It is awaited where it counts.
	try {
		const manifests = await fetchManifests(registry, repository, image.reference);
		const root = manifests.at(-1) as Fetched;
		const entry = (path: string, content: Buffer | string) =>
			quiet(pack.entry({ name: path, size: Buffer.byteLength(content) })).end(content);
		const json = (path: string, value: unknown) => entry(path, JSON.stringify(value));
		const described = { mediaType: root.mediaType, digest: root.digest, size: root.content.length };
		json("oci-layout", { imageLayoutVersion: "1.0.0" });
		json("index.json", {
			schemaVersion: 2,
			manifests: [{ ...described, annotations: { "io.containerd.image.name": name } }],
		});
		const loaded = forDocker(manifests);
		if (loaded) json("manifest.json", [dockerEntry(loaded, name)]);
		const copied = { digest: root.digest, manifests: manifests.length, blobs: 0, bytes: 0 };
		const blobs = new Map(manifests.flatMap(({ manifest }) => manifest.blobs).map((blob) => [blob.digest, blob]));
		for (const { digest, size, foreign } of blobs.values()) {
			if (foreign) continue;
			const length = size ?? (await registry.head(repository, digest)).length ?? 0;
			await copyBlob(pack, written, registry, repository, digest, length);
			copied.blobs++;
			copied.bytes += length;
		}
		// Each after what it needs, so that it can be put back in this order.
		for (const { digest, content } of manifests) entry(pathOf(digest), content);
		pack.finalize();
		await written;
		await rename(half, file);
		return copied;
	} catch (error) {
		pack.destroy();
		await written.catch(() => {});
		await rm(half, { force: true });
		if (error instanceof RegistryError) throw error;
		throw new ArchiveError(`${file} can't be written: ${(error as Error).message}`);
	}
}

/** Puts the image of the file into the registry, under the tag. Throws an ArchiveError or a RegistryError. */
export async function loadImage(
	file: string,
	registry: Registry,
	{ repository, reference }: Reference,
): Promise<Copied> {
	const extract = tar.extract();
	const source = createReadStream(file);
	source.on("error", (error) => extract.destroy(error)).pipe(extract);
	const copied = { digest: "", manifests: 0, blobs: 0, bytes: 0 };
	let root: { digest: string; mediaType: string } | undefined;
	try {
		for await (const entry of extract) {
			const { name, size = 0 } = entry.header;
			const [, algorithm, hex] = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(name) ?? [];
			const digest = `${algorithm}:${hex}`;
			const small = algorithm === undefined || size <= MANIFEST_LIMIT ? await whole(entry) : undefined;
			if (name === "index.json") root = rootOf(small as Buffer);
			if (algorithm === undefined) continue;
			if (small !== undefined && digestOf(small, digest) !== digest)
				throw new ArchiveError(`${file}: ${digest} has other content`);
			const mediaType = small && manifestType(small);
			if (mediaType === undefined) {
				await registry.putBlob(repository, digest, size, Readable.from(small ? [small] : entry));
				copied.blobs++;
				copied.bytes += size;
				continue;
			}
			await registry.putManifest(repository, digest, small as Buffer, mediaType);
			copied.manifests++;
			if (digest !== root?.digest) continue;
			await registry.putManifest(repository, reference, small as Buffer, root.mediaType);
			copied.digest = digest;
		}
	} catch (error) {
		if (error instanceof ArchiveError || error instanceof RegistryError) throw error;
		throw new ArchiveError(`${file} can't be read: ${(error as Error).message}`);
	}
	if (copied.digest === "") throw new ArchiveError(`${file} has no image in it, or was cut off; save it anew`);
	return copied;
}

/** The image's manifests, each after those that it names. */
async function fetchManifests(registry: Registry, repository: string, reference: string): Promise<Fetched[]> {
	const all: Fetched[] = [];
	const fetch = async (wanted: string, platform: Descriptor["platform"]) => {
		if (all.some(({ digest }) => digest === wanted)) return;
		const { status, body, mediaType = "" } = await registry.manifest(repository, wanted);
		if (status !== 200) throw new RegistryError(`${repository} has no ${wanted}: the registry answered ${status}`);
		const digest = digestOf(body, wanted.includes(":") ? wanted : undefined);
		if (wanted.includes(":") && digest !== wanted)
			throw new RegistryError(`${repository} ${wanted} has other content: its digest is ${digest}`);
		const manifest = parse(body, `${repository} ${wanted}`);
		if (manifest.kind === "index") for (const child of manifest.manifests) await fetch(child.digest, child.platform);
		all.push({ digest, mediaType, content: body, manifest, platform });
	};
	await fetch(reference, undefined);
	return all;
}

function parse(body: Buffer, what: string): Manifest {
	try {
		return parseManifest(body);
	} catch (error) {
		if (!(error instanceof ManifestError)) throw error;
		throw new RegistryError(`${what} ${error.message}`);
	}
}

async function copyBlob(
	pack: tar.Pack,
	written: Promise<void>,
	registry: Registry,
	repository: string,
	digest: string,
	size: number,
) {
	const entry = quiet(pack.entry({ name: pathOf(digest), size }));
	const hash = createHash(algorithmOf(digest));
	let read = 0;
	for await (const chunk of await registry.open(repository, digest)) {
		hash.update(chunk as Buffer);
		read += (chunk as Buffer).length;
		registry.bytes += (chunk as Buffer).length;
		if (read > size) break;
		if (!entry.write(chunk)) await Promise.race([once(entry, "drain"), written]);
	}
	const found = `${algorithmOf(digest)}:${hash.digest("hex")}`;
	if (read !== size || found !== digest)
		throw new RegistryError(
			`${repository} ${digest} is broken: ${read === size ? `its digest is ${found}` : `it has not ${size} bytes`}`,
		);
	entry.end();
}

/** What fails in the file is told by the pipeline that writes it; each entry would tell it, too. */
function quiet(sink: unknown): Writable {
	return (sink as Writable).on("error", () => {});
}

function pathOf(digest: string): string {
	return `blobs/${digest.replace(":", "/")}`;
}

/** The image that `docker load` takes: of an index, that of this machine's platform. */
function forDocker(manifests: Fetched[]): Fetched | undefined {
	const images = manifests.filter(({ manifest }) => manifest.kind === "image");
	const architecture = process.arch === "x64" ? "amd64" : process.arch;
	const fits = images.find(({ platform }) => platform?.os === "linux" && platform.architecture === architecture);
	return fits ?? images.find(({ platform }) => platform === undefined);
}

function dockerEntry({ manifest }: Fetched, name: string) {
	const [config, ...layers] = manifest.blobs.map(({ digest }) => pathOf(digest));
	return { Config: config, RepoTags: name.includes("@") ? [] : [name], Layers: layers };
}

async function whole(entry: AsyncIterable<unknown>): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of entry) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
}

function rootOf(index: Buffer): { digest: string; mediaType: string } {
	try {
		const [{ digest, mediaType }] = JSON.parse(index.toString()).manifests;
		return { digest, mediaType };
	} catch {
		throw new ArchiveError("its index.json names no image");
	}
}

/** Of a manifest; undefined where the content is none. */
function manifestType(content: Buffer): string | undefined {
	try {
		return mediaTypeOf(content);
	} catch (error) {
		if (error instanceof ManifestError) return undefined;
		throw error;
	}
}
