import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { scan } from "../../../../components/registryVm/upkeep/scan.ts";
import { type ExampleStore, exampleStore, OCI } from "./exampleStore.ts";

/** What is broken has been so for a while: a link that is just being written is not. */
const look = (example: ExampleStore, more: object = {}) => {
	example.age();
	return scan(example.store, { registry: "private", cache: false, fix: false, ...more });
};
const problems = (example: ExampleStore, more?: object) =>
	look(example, more).map(({ repository, problem, subject }) => `${repository} ${problem} ${subject}`);

function healthy() {
	const example = exampleStore();
	const children = [example.image("team/app", "amd64"), example.image("team/app", "arm64")];
	const index = example.index("team/app", children, "latest");
	example.image("tool", "one", "1");
	return { example, children: children as [string, string], index };
}

describe("a healthy store", () => {
	it("has nothing broken, also where a manifest was deleted through the API", () => {
		const { example } = healthy();
		const untagged = example.image("tool", "deleted");
		rmSync(example.store.repository("tool").revisionLink(untagged));
		expect(problems(example)).toEqual([]);
	});

	it("that is empty, or not there, has nothing broken", () => {
		expect(problems(exampleStore())).toEqual([]);
	});

	it("sees repositories inside repositories", () => {
		const { example } = healthy();
		example.image("team", "outer", "1");
		expect(example.store.repositories()).toEqual(["team", "team/app", "tool"]);
	});
});

describe("what is broken is found, and nothing else", () => {
	it.each<[string, (given: ReturnType<typeof healthy>) => string]>([
		[
			"a child whose revision link is gone",
			({ example, children, index }) => {
				rmSync(example.store.repository("team/app").revisionLink(children[1]));
				return `team/app orphan-child ${index}`;
			},
		],
		[
			"an empty revision link",
			({ example }) => {
				const untagged = example.image("team/app", "untagged");
				truncateSync(example.store.repository("team/app").revisionLink(untagged));
				return `team/app broken-revision-link ${untagged}`;
			},
		],
		[
			"an empty tag link",
			({ example }) => {
				truncateSync(join(example.store.repository("tool").tagFolder("1"), "current/link"));
				return "tool broken-tag-link 1";
			},
		],
		[
			"a malformed tag link",
			({ example }) => {
				writeFileSync(join(example.store.repository("tool").tagFolder("1"), "current/link"), "sha256:short");
				return "tool broken-tag-link 1";
			},
		],
		[
			"a layer link without content",
			({ example }) => {
				const { digest } = example.layer("tool", "unused");
				rmSync(dirname(example.store.blobPath(digest)), { recursive: true });
				return `tool orphan-layer-link ${digest}`;
			},
		],
		[
			"an empty layer link",
			({ example }) => {
				const { digest } = example.layer("tool", "unused");
				truncateSync(example.store.repository("tool").layerLink(digest));
				return `tool broken-layer-link ${digest}`;
			},
		],
		[
			"a manifest without content",
			({ example, index }) => {
				rmSync(example.store.blobPath(index));
				return `team/app missing-manifest ${index}`;
			},
		],
		[
			"a manifest of 0 bytes",
			({ example, index }) => {
				truncateSync(example.store.blobPath(index));
				return `team/app unreadable-manifest ${index}`;
			},
		],
		[
			"a manifest of an unknown type",
			({ example }) => {
				const digest = example.manifest("tool", { schemaVersion: 2, mediaType: "application/x-unknown" });
				return `tool unreadable-manifest ${digest}`;
			},
		],
		[
			"a truncated layer",
			({ example, children }) => {
				const { digest } = example.layer("team/app", "layer amd64");
				truncateSync(example.store.blobPath(digest), 3);
				return `team/app wrong-size ${children[0]}`;
			},
		],
		[
			"a layer that is named by SHA-512 and has no link by that name",
			({ example }) => {
				const { size } = example.layer("tool", "by another name");
				const digest = `sha512:${createHash("sha512").update("by another name").digest("hex")}`;
				const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer("tool", "{}") };
				const layers = [{ mediaType: `${OCI}.layer.v1.tar`, digest, size }];
				const mediaType = `${OCI}.manifest.v1+json`;
				return `tool missing-layer-link ${example.manifest("tool", { schemaVersion: 2, mediaType, config, layers }, "2")}`;
			},
		],
		[
			"a truncated layer of which nothing says how long it should be",
			({ example }) => {
				const { digest } = example.layer("tool", "no size");
				truncateSync(example.store.blobPath(digest), 3);
				const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer("tool", "{}") };
				const layers = [{ mediaType: `${OCI}.layer.v1.tar`, digest }];
				const mediaType = `${OCI}.manifest.v1+json`;
				return `tool wrong-content ${example.manifest("tool", { schemaVersion: 2, mediaType, config, layers }, "2")}`;
			},
		],
	])("%s", (_, damage) => {
		const given = healthy();
		const expected = damage(given);
		expect(problems(given.example)).toEqual([expected]);
	});

	it("a layer whose content is gone is told of its link and of its image", () => {
		const { example, children } = healthy();
		const { digest } = example.layer("team/app", "layer amd64");
		rmSync(example.store.blobPath(digest));
		expect(problems(example)).toEqual([`team/app orphan-layer-link ${digest}`, `team/app missing-blob ${children[0]}`]);
	});

	it("a repository without its revisions is told for each of its tags, too", () => {
		const { example, index } = healthy();
		const link = example.store.repository("team/app").revisionLink(index);
		rmSync(dirname(dirname(dirname(link))), { recursive: true });
		expect(problems(example)).toEqual([
			"team/app missing-revisions _manifests/revisions",
			"team/app orphan-tag latest",
		]);
	});

	it("says whether an orphan child can be linked again", () => {
		const { example, children } = healthy();
		for (const child of children) rmSync(example.store.repository("team/app").revisionLink(child));
		rmSync(example.store.blobPath(children[1]));
		expect(look(example).map(({ relinkable }) => relinkable?.digest)).toEqual([children[0], undefined]);
	});

	it.each(["no link yet", "an empty link"])(
		"a layer that is just being pushed, with %s, is not broken, and stays",
		(how) => {
			const { example } = healthy();
			const { digest } = example.layer("tool", "pushed");
			example.age();
			const link = example.store.repository("tool").layerLink(digest);
			if (how === "no link yet") rmSync(link);
			else truncateSync(link);
			const options = { registry: "private", cache: false, fix: true };
			expect(scan(example.store, options)).toEqual([]);
			expect(existsSync(dirname(link))).toBe(true);
			expect(problems(example)).toEqual([`tool broken-layer-link ${digest}`]);
		},
	);

	it("a tag that is just being pushed is not broken", () => {
		const { example } = healthy();
		mkdirSync(example.store.repository("tool").tagFolder("2"));
		expect(problems(example)).toEqual([]);
	});
});

describe("in a cache", () => {
	it("an index without children is legitimate", () => {
		const { example, children } = healthy();
		rmSync(example.store.repository("team/app").revisionLink(children[1]));
		expect(problems(example, { cache: true })).toEqual([]);
	});
});

describe("putting right", () => {
	it("writes empty links again whose content is whole, and looks at what is below them", () => {
		const { example, children, index } = healthy();
		const app = example.store.repository("team/app");
		const [layer] = app.layers() as [string];
		truncateSync(app.layerLink(layer));
		truncateSync(app.revisionLink(index));
		rmSync(app.revisionLink(children[0]));
		expect(look(example, { fix: true }).map(({ problem, subject, fixed }) => [problem, subject, fixed])).toEqual([
			["broken-layer-link", layer, "written again"],
			["broken-revision-link", index, "written again"],
			["orphan-child", index, undefined],
		]);
		expect(app.layer(layer)).toEqual({ digest: layer });
		expect(app.revision(index)).toEqual({ digest: index });
		expect(problems(example)).toEqual([`team/app orphan-child ${index}`]);
	});

	it("takes an empty link away whose content is gone or another, which is set aside, and none that somebody wrote", () => {
		const { example, children, index } = healthy();
		const app = example.store.repository("team/app");
		const [layer] = app.layers() as [string];
		for (const link of [...children, index].map((digest) => app.revisionLink(digest))) truncateSync(link);
		truncateSync(app.layerLink(layer));
		writeFileSync(example.store.blobPath(children[0]), "{}");
		writeFileSync(example.store.blobPath(layer), "lay");
		rmSync(example.store.blobPath(children[1]));
		writeFileSync(app.revisionLink(index), "sha256:short");
		const found = look(example, { fix: true }).filter(({ problem }) => problem.endsWith("-link"));
		expect(Object.fromEntries(found.map(({ subject, fixed }) => [subject, fixed]))).toEqual({
			[layer]: "removed",
			[children[0]]: "removed",
			[children[1]]: "removed",
			[index]: undefined,
		});
		for (const digest of children) expect(existsSync(dirname(app.revisionLink(digest)))).toBe(false);
		expect(example.store.blobSize(children[0])).toBe(undefined);
		expect(example.store.blobSize(layer)).toBe(undefined);
		const kept = readdirSync(join(example.data, "quarantine"));
		expect(kept.sort()).toEqual([children[0], layer].map((digest) => digest.replace(":", "-")).sort());
	});

	it.each(["manifest", "layer"])("leaves a %s's empty link whose content is just being written", (kind) => {
		const { example, children } = healthy();
		const app = example.store.repository("team/app");
		const digest = kind === "layer" ? (app.layers()[0] as string) : children[0];
		const link = kind === "layer" ? app.layerLink(digest) : app.revisionLink(digest);
		truncateSync(link);
		example.age();
		writeFileSync(example.store.blobPath(digest), "{");
		const found = scan(example.store, { registry: "private", cache: false, fix: true });
		expect(found.filter(({ problem, subject }) => problem.endsWith("-link") && subject === digest)).toHaveLength(1);
		expect(found.filter(({ fixed }) => fixed)).toEqual([]);
		expect(statSync(link).size).toBe(0);
		expect(example.store.readBlob(digest).toString()).toBe("{");
	});

	/** Manifests as a full disk leaves them, one of them with a link, and a layer that is as long as a cut, but whole. */
	function cutOff() {
		const { example, children } = healthy();
		const [empty, linked] = children;
		const begun = example.image("team/app", "x".repeat(10));
		rmSync(dirname(example.store.repository("team/app").revisionLink(begun)), { recursive: true });
		writeFileSync(example.store.blobPath(begun), "{".repeat(4096));
		rmSync(dirname(example.store.repository("team/app").revisionLink(empty)), { recursive: true });
		truncateSync(example.store.blobPath(empty));
		truncateSync(example.store.blobPath(linked));
		example.layer("tool", Buffer.alloc(8192));
		example.layer("tool", "");
		return { example, cut: { [empty]: 0, [linked]: 0, [begun]: 4096 } };
	}

	it("where it is told to look for what was cut off, sets that aside, whether a link leads there or not", () => {
		const { example, cut } = cutOff();
		const found = look(example, { fix: true, truncated: true });
		const aside = found.filter(({ fixed }) => fixed === "set aside");
		expect(Object.fromEntries(aside.map(({ subject, detail }) => [subject, detail]))).toEqual(
			Object.fromEntries(
				Object.entries(cut).map(([digest, size]) => [digest, `its content was cut off after ${size} bytes`]),
			),
		);
		for (const digest of Object.keys(cut)) expect(example.store.blobSize(digest)).toBe(undefined);
		expect(look(example, { fix: true, truncated: true }).filter(({ problem }) => problem === "wrong-content")).toEqual(
			[],
		);
	});

	it("reads no content for that which is larger than a manifest can be", () => {
		const { example } = healthy();
		const { digest } = example.layer("tool", "large");
		rmSync(dirname(example.store.repository("tool").layerLink(digest)), { recursive: true });
		truncateSync(example.store.blobPath(digest), 5 * 1024 * 1024);
		expect(look(example, { fix: true, truncated: true })).toEqual([]);
		truncateSync(example.store.blobPath(digest), 4 * 1024 * 1024);
		expect(look(example, { fix: true, truncated: true }).map(({ subject }) => subject)).toEqual([digest]);
	});

	it("sets nothing aside in a dry run, nor what is just being written, and looks for it only when told to", () => {
		const { example, cut } = cutOff();
		const aside = (more: object) => look(example, more).filter(({ detail }) => detail.includes("was cut off"));
		expect(aside({ truncated: true }).map(({ fixed }) => fixed)).toEqual([undefined, undefined, undefined]);
		expect(aside({ fix: true })).toEqual([]);
		for (const digest of Object.keys(cut)) {
			expect(example.store.blobSize(digest)).not.toBe(undefined);
			const now = new Date();
			utimesSync(example.store.blobPath(digest), now, now);
		}
		const young = scan(example.store, { registry: "private", cache: false, fix: true, truncated: true });
		expect(young.filter(({ fixed }) => fixed === "set aside")).toEqual([]);
	});

	it("takes away layer links that lead nowhere, and only those", () => {
		const { example, children } = healthy();
		const { digest } = example.layer("tool", "unused");
		rmSync(example.store.blobPath(digest));
		rmSync(example.store.repository("team/app").revisionLink(children[1]));
		const fixed = look(example, { fix: true }).filter((finding) => finding.fixed);
		expect(fixed.map(({ subject, fixed }) => [subject, fixed])).toEqual([[digest, "removed"]]);
		expect(existsSync(dirname(example.store.repository("tool").layerLink(digest)))).toBe(false);
		expect(look(example).map(({ problem }) => problem)).toEqual(["orphan-child"]);
	});

	it("is not done in a dry run", () => {
		const { example } = healthy();
		const { digest } = example.layer("tool", "unused");
		rmSync(example.store.blobPath(digest));
		look(example);
		expect(existsSync(example.store.repository("tool").layerLink(digest))).toBe(true);
	});
});
