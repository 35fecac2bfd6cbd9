import { utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cleanupTags } from "../../../../components/registryVm/upkeep/cleanupTags.ts";
import { scan } from "../../../../components/registryVm/upkeep/scan.ts";
import { exampleStore } from "./exampleStore.ts";

function storeWithTags(tags: string[]) {
	const example = exampleStore();
	tags.forEach((tag, day) => {
		example.image("app", tag, tag);
		const pushed = 1_700_000_000 + day * 86_400;
		utimesSync(join(example.store.repository("app").tagFolder(tag), "current/link"), pushed, pushed);
	});
	return example;
}

describe("cleanup of tags", () => {
	it("keeps the newest by time, whatever their names, and protected ones besides", () => {
		const { store } = storeWithTags(["latest", "z", "y", "x", "a"]);
		expect(cleanupTags(store, { keep: 2, protect: /^latest$/, dryRun: false })).toEqual(["app:y", "app:z"]);
		expect(store.repository("app").tags()).toEqual(["a", "latest", "x"]);
		expect(scan(store, { registry: "private", cache: false, remove: false })).toEqual([]);
	});

	it("leaves a kept tag whole that has the digest of one that goes", () => {
		const example = storeWithTags(["old", "new"]);
		const { store } = example;
		const link = store.repository("app").tag("new") as { digest: string };
		example.manifest("app", store.readBlob(link.digest).toString(), "same");
		const longAgo = 1_600_000_000;
		utimesSync(join(store.repository("app").tagFolder("same"), "current/link"), longAgo, longAgo);
		expect(cleanupTags(store, { keep: 1, protect: /^$/, dryRun: false })).toEqual(["app:old", "app:same"]);
		expect(store.repository("app").tag("new")).toEqual(link);
		expect(scan(store, { registry: "private", cache: false, remove: false })).toEqual([]);
	});

	it("changes nothing in a dry run", () => {
		const { store } = storeWithTags(["b", "a"]);
		expect(cleanupTags(store, { keep: 1, protect: /^$/, dryRun: true })).toEqual(["app:b"]);
		expect(store.repository("app").tags()).toEqual(["a", "b"]);
	});
});
