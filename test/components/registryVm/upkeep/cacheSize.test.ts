import { utimesSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesOf, tagsBeyond } from "../../../../components/registryVm/upkeep/cacheSize.ts";
import { type ExampleStore, exampleStore, OCI } from "./exampleStore.ts";

/** An image with a layer of that many bytes, asked for at that time, in days. */
function image(example: ExampleStore, repository: string, tag: string, day: number, layer: string): string {
	const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer(repository, "{}") };
	const layers = [{ mediaType: `${OCI}.layer.v1.tar`, ...example.layer(repository, layer) }];
	const digest = example.manifest(repository, { schemaVersion: 2, config, layers }, tag);
	touch(example, repository, tag, day);
	return digest;
}

function touch({ store }: ExampleStore, repository: string, tag: string, day: number) {
	const time = 1_700_000_000 + day * 86_400;
	utimesSync(store.repository(repository).tagLink(tag), time, time);
}

const names = (example: ExampleStore, maxBytes: number) => tagsBeyond(example.store, maxBytes).map(({ name }) => name);

describe("the tags of a cache that do not fit", () => {
	it("are those that were asked for longest ago, of whatever repository", () => {
		const example = exampleStore();
		image(example, "one", "old", 1, "a".repeat(10_000));
		image(example, "two", "middle", 2, "b".repeat(10_000));
		image(example, "one", "new", 3, "c".repeat(10_000));
		expect(names(example, 40_000)).toEqual([]);
		expect(names(example, 25_000)).toEqual(["one:old"]);
		expect(names(example, 15_000)).toEqual(["two:middle", "one:old"]);
	});

	it("are not those that need nothing more than the kept ones, a shared layer counts once", () => {
		const example = exampleStore();
		const layer = "l".repeat(10_000);
		image(example, "app", "1", 1, layer);
		image(example, "app", "2", 2, layer);
		image(example, "other", "2", 3, layer);
		expect(names(example, 15_000)).toEqual([]);
	});

	it("are counted with the children of an index that are there; those that are not are no error", () => {
		const example = exampleStore();
		const child = image(example, "app", "child", 1, "l".repeat(10_000));
		const absent = `sha256:${"0".repeat(64)}`;
		const manifests = [child, absent].map((digest) => ({ mediaType: `${OCI}.manifest.v1+json`, digest, size: 1 }));
		example.manifest("app", { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests }, "index");
		touch(example, "app", "index", 2);
		expect(names(example, 15_000)).toEqual([]);
		expect(names(example, 5000)).toEqual(["app:index", "app:child"]);
	});

	it("do not end in an endless loop where an index has itself for a child", () => {
		const example = exampleStore();
		example.index("app", [example.index("app", [example.image("app", "a")])], "latest");
		expect(names(example, 10 ** 9)).toEqual([]);
	});
});

it.each([
	["100GiB", 100 * 1024 ** 3],
	["1KiB", 1024],
	["10GB", undefined],
	["", undefined],
])("%s is %s bytes", (size, bytes) => {
	expect(bytesOf(size)).toBe(bytes);
});
