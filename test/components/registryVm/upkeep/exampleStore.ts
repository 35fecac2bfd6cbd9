/** A registry's storage, made by hand. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { Store } from "../../../../components/registryVm/upkeep/store.ts";

export const OCI = "application/vnd.oci.image";

export interface ExampleStore {
	store: Store;
	/** The folder that the registry would have as its rootdirectory. */
	data: string;
	/** Puts a layer or config into the repository. */
	layer(repository: string, content: string | Buffer): { digest: string; size: number };
	/** Puts a manifest into the repository, under a tag if one is given. */
	manifest(repository: string, content: object | string, tag?: string): string;
	/** Names a manifest. */
	tag(repository: string, tag: string, digest: string): void;
	/** An image with one layer and a config. */
	image(repository: string, content: string, tag?: string): string;
	index(repository: string, children: string[], tag?: string): string;
	/** Makes all that is there now look as if it were a year old. */
	age(): void;
}

/** An empty store, gone with the test. */
export function exampleStore(): ExampleStore {
	const data = mkdtempSync(join(tmpdir(), "store-test-"));
	onTestFinished(() => rmSync(data, { recursive: true }));
	return storeAt(data);
}

/** Writes into the store in that folder. */
export function storeAt(data: string): ExampleStore {
	const store = new Store(data);
	const written: string[] = [];
	const write = (path: string, content: string | Buffer) => {
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, content);
		written.push(path);
	};
	const blob = (content: string | Buffer) => {
		const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
		write(store.blobPath(digest), content);
		return { digest, size: Buffer.byteLength(content) };
	};
	const example: ExampleStore = {
		store,
		data,
		layer(name, content) {
			const descriptor = blob(content);
			write(store.repository(name).layerLink(descriptor.digest), descriptor.digest);
			return descriptor;
		},
		manifest(name, content, tag) {
			const { digest } = blob(typeof content === "string" ? content : JSON.stringify(content));
			const repository = store.repository(name);
			write(repository.revisionLink(digest), digest);
			if (tag !== undefined) example.tag(name, tag, digest);
			return digest;
		},
		tag(name, tag, digest) {
			const folder = store.repository(name).tagFolder(tag);
			write(join(folder, "current/link"), digest);
			write(join(folder, "index", digest.replace(":", "/"), "link"), digest);
		},
		image(name, content, tag) {
			const layer = { mediaType: `${OCI}.layer.v1.tar`, ...example.layer(name, `layer ${content}`) };
			const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer(name, `config ${content}`) };
			return example.manifest(
				name,
				{ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers: [layer] },
				tag,
			);
		},
		index(name, children, tag) {
			const manifests = children.map((digest) => ({
				mediaType: `${OCI}.manifest.v1+json`,
				digest,
				size: store.blobSize(digest),
			}));
			return example.manifest(name, { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests }, tag);
		},
		age() {
			const lastYear = Date.now() / 1000 - 365 * 24 * 3600;
			for (const path of written)
				for (const one of [path, dirname(path), dirname(dirname(path))])
					if (existsSync(one)) utimesSync(one, lastYear, lastYear);
		},
	};
	return example;
}
