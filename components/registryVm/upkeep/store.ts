/**
 * A registry's storage on disk, as registry 2.8.3 lays it out. It is read here and not through the registry,
 * which may answer from memory for what is gone.
 */
import { createHash } from "node:crypto";
import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	statSync,
} from "node:fs";
import { basename, join, relative } from "node:path";
import { algorithmOf, DIGEST } from "../../../oci/manifest.ts";

/** A link file, or what is wrong with it. */
export type Link = { digest: string } | { problem: string };

export class Store {
	readonly #root: string;
	/** On the same file system, so that a rename is enough, and where no registry looks. */
	readonly #quarantine: string;

	/** `data` is what the registry has as its rootdirectory, for example `/opt/registry/data/private`. */
	constructor(data: string) {
		this.#root = join(data, "docker/registry/v2");
		this.#quarantine = join(data, "quarantine");
	}

	/** Every repository's name, sorted. Empty where the registry never stored anything. */
	repositories(): string[] {
		const all = join(this.#root, "repositories");
		const found: string[] = [];
		const search = (folder: string) => {
			const entries = directories(folder);
			if (entries.some((name) => name === "_manifests" || name === "_layers")) found.push(relative(all, folder));
			for (const name of entries) if (!name.startsWith("_")) search(join(folder, name));
		};
		search(all);
		return found.sort();
	}

	/** When something was last written into an upload that has not ended, in milliseconds since 1970; 0 where there is none. */
	lastUpload(): number {
		const times = this.repositories().flatMap((name) => {
			const folder = join(this.#root, "repositories", name, "_uploads");
			return directories(folder).map(
				(id) => statSync(join(folder, id, "data"), { throwIfNoEntry: false })?.mtimeMs ?? 0,
			);
		});
		return times.reduce((last, time) => Math.max(last, time), 0);
	}

	repository(name: string): Repository {
		return new Repository(join(this.#root, "repositories", name));
	}

	blobPath(digest: string): string {
		const [algorithm, hex] = digest.split(":") as [string, string];
		return join(this.#root, "blobs", algorithm, hex.slice(0, 2), hex, "data");
	}

	/** In bytes; undefined where there is no such blob. */
	blobSize(digest: string): number | undefined {
		return statSync(this.blobPath(digest), { throwIfNoEntry: false })?.size;
	}

	readBlob(digest: string): Buffer {
		return readFileSync(this.blobPath(digest));
	}

	/** The digest that the blob's content really has, by the algorithm of `like`, which is the digest itself by default. */
	digestOf(digest: string, like = digest): string {
		const algorithm = algorithmOf(like);
		const hash = createHash(algorithm);
		const file = openSync(this.blobPath(digest), "r");
		const chunk = Buffer.alloc(1024 * 1024);
		for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) hash.update(chunk.subarray(0, read));
		closeSync(file);
		return `${algorithm}:${hash.digest("hex")}`;
	}

	/** Whether it is there, and what its digest says. Reads all of it. */
	isWhole(digest: string): boolean {
		return this.blobSize(digest) !== undefined && this.digestOf(digest) === digest;
	}

	/**
	 * Takes a blob's content away that is not what its digest says, and returns the file that has it now. A registry never
	 * replaces what it believes to have, so that the right content can be pushed only after that.
	 */
	setAside(digest: string): string {
		const target = join(this.#quarantine, digest.replace(":", "-"));
		mkdirSync(this.#quarantine, { recursive: true });
		renameSync(this.blobPath(digest), target);
		return target;
	}

	/** Every blob that has a folder, with or without data in it. */
	*blobs(): Generator<string> {
		const all = join(this.#root, "blobs/sha256");
		for (const prefix of directories(all))
			for (const hex of directories(join(all, prefix))) if (DIGEST.test(`sha256:${hex}`)) yield `sha256:${hex}`;
	}
}

export class Repository {
	readonly #folder: string;

	constructor(folder: string) {
		this.#folder = folder;
	}

	tags(): string[] {
		return directories(join(this.#folder, "_manifests/tags"));
	}

	tagFolder(tag: string): string {
		return join(this.#folder, "_manifests/tags", tag);
	}

	tag(tag: string): Link {
		return readLink(this.tagLink(tag));
	}

	/** When the tag was last pushed, in milliseconds since 1970; 0 where it has no link. */
	tagTime(tag: string): number {
		return statSync(this.tagLink(tag), { throwIfNoEntry: false })?.mtimeMs ?? 0;
	}

	/** The digests that were pushed to the tag, newest first, as far as their links can be read. */
	tagHistory(tag: string): string[] {
		const folder = join(this.tagFolder(tag), "index/sha256");
		const link = (digest: string) => join(folder, basename(digest.replace(":", "/")), "link");
		return links(folder)
			.filter((digest) => "digest" in readLink(link(digest)))
			.sort((a, b) => statSync(link(b)).mtimeMs - statSync(link(a)).mtimeMs);
	}

	tagLink(tag: string): string {
		return join(this.tagFolder(tag), "current/link");
	}

	/** False where there are tags but the folder of the manifests is gone: collection would then delete all it holds. */
	hasRevisions(): boolean {
		return existsSync(join(this.#folder, "_manifests/revisions"));
	}

	/** The manifests this repository has, by digest, also where their link is broken. */
	revisions(): string[] {
		return links(join(this.#folder, "_manifests/revisions/sha256"));
	}

	revisionLink(digest: string): string {
		return join(this.#folder, "_manifests/revisions/sha256", basename(digest.replace(":", "/")), "link");
	}

	revision(digest: string): Link {
		return readLink(this.revisionLink(digest));
	}

	/** The layers and configs this repository has, by digest, also where their link is broken. */
	layers(): string[] {
		return links(join(this.#folder, "_layers/sha256"));
	}

	layerLink(digest: string): string {
		return join(this.#folder, "_layers", algorithmOf(digest), basename(digest.replace(":", "/")), "link");
	}

	layer(digest: string): Link {
		return readLink(this.layerLink(digest));
	}

	/**
	 * The digest under which the content is stored: a registry stores all of it by SHA-256, and links what is named by
	 * another algorithm to that.
	 */
	storedDigest(digest: string): string {
		if (algorithmOf(digest) === "sha256") return digest;
		const link = this.layer(digest);
		return "digest" in link ? link.digest : digest;
	}
}

function readLink(path: string): Link {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		return { problem: "has no link file" };
	}
	if (text === "") return { problem: "has an empty link file" };
	return DIGEST.test(text.trim()) ? { digest: text.trim() } : { problem: "has a malformed link file" };
}

function links(folder: string): string[] {
	return directories(folder)
		.map((hex) => `sha256:${hex}`)
		.filter((digest) => DIGEST.test(digest));
}

function directories(folder: string): string[] {
	try {
		return readdirSync(folder, { withFileTypes: true })
			.filter((entry) => entry.isDirectory())
			.map(({ name }) => name)
			.sort();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		return [];
	}
}
