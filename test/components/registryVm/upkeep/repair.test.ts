/** What repair makes of a tag that was cut off; the rest of it is tried with the real registry (test/lab/upkeep.test.ts). */
import { existsSync, rmSync, truncateSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { type Api, ApiError } from "../../../../components/registryVm/upkeep/api.ts";
import { repair } from "../../../../components/registryVm/upkeep/repair.ts";
import { exampleStore } from "./exampleStore.ts";

/** A tag that had two images, the second one last, and whose link is empty. */
function cutOff() {
	const example = exampleStore();
	const images = [example.image("app", "one", "1"), example.image("app", "two", "1")] as [string, string];
	const repository = example.store.repository("app");
	for (const [i, digest] of images.entries()) {
		const link = join(repository.tagFolder("1"), "index", digest.replace(":", "/"), "link");
		utimesSync(link, 1000 + i, 1000 + i);
	}
	truncateSync(repository.tagLink("1"));
	const puts: string[] = [];
	/** Notes what is put, after what `before` does. */
	const run = (before: (reference: string) => void = () => {}) => {
		const api: Pick<Api, "putBlob" | "putManifest"> = {
			putBlob: async () => ({ digest: "", size: 0 }),
			putManifest: async (_, reference, content) => {
				before(reference);
				puts.push(reference === "1" ? `1 is ${content.equals(example.store.readBlob(images[0]))}` : reference);
			},
		};
		return repair("app", { store: example.store, others: {} }, api as Api);
	};
	return { example, repository, images, puts, run };
}

it("is what was pushed to it last", async () => {
	const { images, puts, run } = cutOff();
	const { restored, missing } = await run();
	expect(restored).toEqual([
		`app:1, which has an empty link file: it is ${images[1]} again, the last that was pushed to it whole`,
	]);
	expect(missing).toEqual([]);
	expect(puts).toEqual(["1 is false"]);
});

it("is the one before, where the last one is not whole", async () => {
	const { images, puts, run } = cutOff();
	let refused = false;
	const { restored, missing } = await run((reference) => {
		if (reference === "1" && !refused) {
			refused = true;
			throw new ApiError("400 MANIFEST_BLOB_UNKNOWN");
		}
	});
	expect(missing).toEqual([`app:1 as ${images[1]}: 400 MANIFEST_BLOB_UNKNOWN`]);
	expect(restored).toEqual([expect.stringContaining(`it is ${images[0]} again`)]);
	expect(puts).toEqual(["1 is true"]);
});

it("is left alone where somebody pushes it meanwhile", async () => {
	const { example, repository, images, puts, run } = cutOff();
	const pushed = example.image("app", "three");
	rmSync(dirname(repository.revisionLink(images[1])), { recursive: true }); // So that something is put before the tag.
	await run((reference) => {
		if (reference === images[1]) example.tag("app", "1", pushed);
	});
	expect(puts).toEqual([images[1]]);
	expect(repository.tag("1")).toEqual({ digest: pushed });
});

it("goes where nothing whole was ever under it, so that it can be pushed again", async () => {
	const { example, repository, images, puts, run } = cutOff();
	for (const digest of images) rmSync(example.store.blobPath(digest));
	const { missing } = await run();
	expect(missing).toEqual([expect.stringMatching(/^app:1: it has an empty link file, .*; push it again$/)]);
	expect(existsSync(dirname(repository.tagLink("1")))).toBe(false);
	expect(puts).toEqual([]);
});
