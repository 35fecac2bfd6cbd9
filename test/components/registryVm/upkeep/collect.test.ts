import { utimesSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { findGarbage, removeGarbage } from "../../../../components/registryVm/upkeep/collect.ts";
import { scan } from "../../../../components/registryVm/upkeep/scan.ts";
import { type ExampleStore, exampleStore, OCI } from "./exampleStore.ts";

const HOUR = 3_600_000;
const find = ({ store }: ExampleStore, more: object = {}) => findGarbage(store, { grace: 24 * HOUR, ...more });
const broken = ({ store }: ExampleStore) => scan(store, { registry: "private", cache: false, fix: false });

describe("collection", () => {
	it("keeps the untagged children of a tagged index, and of an index inside it", () => {
		const example = exampleStore();
		const inner = example.index("app", [example.image("app", "amd64"), example.image("app", "arm64")]);
		example.index("app", [inner, example.image("app", "riscv64")], "latest");
		example.age();
		expect(find(example)).toEqual({ revisions: [], layerLinks: [], blobs: [] });
	});

	it("takes what no tag leads to, with its links, and leaves the rest whole", () => {
		const example = exampleStore();
		const kept = example.image("app", "kept", "latest");
		const replaced = example.image("app", "replaced");
		example.age();
		const garbage = find(example);
		expect(garbage.revisions).toEqual([{ repository: "app", digest: replaced }]);
		expect(garbage.blobs).toHaveLength(3);
		expect(garbage.layerLinks).toHaveLength(2);
		removeGarbage(example.store, garbage);
		expect(example.store.repository("app").revisions()).toEqual([kept]);
		expect([...example.store.blobs()]).toHaveLength(3);
		expect(broken(example)).toEqual([]);
		expect(find(example).blobs).toEqual([]);
	});

	it("keeps a layer that another image, or another repository, still needs", () => {
		const example = exampleStore();
		const shared = { mediaType: `${OCI}.layer.v1.tar`, ...example.layer("one", "shared layer") };
		example.layer("two", "shared layer");
		const image = (repository: string, tag?: string) => {
			const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer(repository, `config of ${repository}`) };
			const manifest = { schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers: [shared] };
			return example.manifest(repository, manifest, tag);
		};
		image("one");
		image("two", "latest");
		example.age();
		removeGarbage(example.store, find(example));
		expect(example.store.blobSize(shared.digest)).toBe(shared.size);
		expect(broken(example)).toEqual([]);
	});

	it("keeps an untagged signature of what is kept, and takes one of what goes", () => {
		const example = exampleStore();
		const signature = (subject: string) => {
			const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer("app", "{}") };
			const manifest = { schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers: [] };
			return example.manifest("app", { ...manifest, subject: { digest: subject, size: 1 } });
		};
		const kept = signature(example.image("app", "kept", "latest"));
		const old = example.image("app", "old");
		const gone = signature(old);
		example.age();
		const digests = find(example).revisions.map(({ digest }) => digest);
		expect(digests.sort()).toEqual([old, gone].sort());
		expect(digests).not.toContain(kept);
	});

	it("leaves a push that is under way alone, until its grace is over", () => {
		const example = exampleStore();
		example.layer("app", "uploaded, and its manifest is still to come");
		example.image("app", "untagged so far");
		expect(find(example)).toEqual({ revisions: [], layerLinks: [], blobs: [] });
		expect(find(example, { grace: 0 }).blobs).toHaveLength(4);
	});

	it("keeps what an old but young-linked manifest needs: a push may have found its layers already there", () => {
		const example = exampleStore();
		const digest = example.image("app", "pushed again");
		example.age();
		utimesSync(example.store.repository("app").revisionLink(digest), new Date(), new Date());
		expect(find(example).blobs).toEqual([]);
	});

	it("finds nothing to be garbage where a manifest can't be read", () => {
		const example = exampleStore();
		const digest = example.image("app", "image", "latest");
		writeFileSync(example.store.blobPath(digest), "");
		example.age();
		expect(() => find(example)).toThrow(/is empty/);
	});
});
