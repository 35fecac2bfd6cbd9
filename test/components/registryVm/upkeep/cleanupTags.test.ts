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
		expect(scan(store, { registry: "private", cache: false, fix: false })).toEqual([]);
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
		expect(scan(store, { registry: "private", cache: false, fix: false })).toEqual([]);
	});

	/** As cosign names what it attaches to an image. */
	const attach = (example: ReturnType<typeof exampleStore>, digest: string, kind: string) => {
		const tag = `${digest.replace(":", "-")}${kind}`;
		return { tag, digest: example.image("app", `${kind} of ${digest}`, tag) };
	};
	const digestOf = (example: ReturnType<typeof exampleStore>, tag: string) =>
		(example.store.repository("app").tag(tag) as { digest: string }).digest;

	it("does not count signatures, attestations and SBOMs: they live and die with their image", () => {
		const example = storeWithTags(["latest", "v1", "v2", "v3"]);
		const tags = ["latest", "v1", "v2", "v3"].flatMap((tag) =>
			[".sig", ".att", ".sbom", ""].map((kind) => attach(example, digestOf(example, tag), kind).tag),
		);
		example.age();
		for (const [day, tag] of ["v1", "v2", "v3"].entries())
			utimesSync(join(example.store.repository("app").tagFolder(tag), "current/link"), day + 1, day + 1);
		const [v1] = [digestOf(example, "v1").replace(":", "-")];
		expect(cleanupTags(example.store, { keep: 2, protect: /^latest$/, dryRun: false }).sort()).toEqual(
			["v1", v1, `${v1}.att`, `${v1}.sbom`, `${v1}.sig`].map((tag) => `app:${tag}`).sort(),
		);
		const left = example.store.repository("app").tags();
		expect(left).toEqual(["latest", "v2", "v3", ...tags.filter((tag) => !tag.startsWith(v1 as string))].sort());
	});

	it("keeps the signature of an SBOM, and of one platform of a kept index", () => {
		const example = exampleStore();
		const child = example.image("app", "arm64");
		const index = example.index("app", [child], "v1");
		const sbom = attach(example, index, ".sbom");
		const signatures = [attach(example, sbom.digest, ".sig"), attach(example, child, ".sig")];
		example.age();
		expect(cleanupTags(example.store, { keep: 1, protect: /^$/, dryRun: false })).toEqual([]);
		expect(example.store.repository("app").tags()).toEqual(
			["v1", sbom.tag, ...signatures.map(({ tag }) => tag)].sort(),
		);
	});

	it("keeps a young signature whose image is not there yet, and not an old one", () => {
		const example = storeWithTags(["v1"]);
		const { tag } = attach(example, `sha256:${"0".repeat(64)}`, ".sig");
		expect(cleanupTags(example.store, { keep: 1, protect: /^$/, dryRun: false })).toEqual([]);
		example.age();
		expect(cleanupTags(example.store, { keep: 1, protect: /^$/, dryRun: false })).toEqual([`app:${tag}`]);
	});

	it("changes nothing in a dry run", () => {
		const { store } = storeWithTags(["b", "a"]);
		expect(cleanupTags(store, { keep: 1, protect: /^$/, dryRun: true })).toEqual(["app:b"]);
		expect(store.repository("app").tags()).toEqual(["a", "b"]);
	});
});
