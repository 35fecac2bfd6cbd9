/** Hundreds of registries with random damage: what the walk and the scan find is what was broken, and nothing else. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goEnvironment } from "../../components/registryVm/compose.ts";
import { Api } from "../../components/registryVm/upkeep/api.ts";
import { scan } from "../../components/registryVm/upkeep/scan.ts";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { LABEL } from "../../lab/estate.ts";
import { buildImages } from "../../lab/images.ts";
import { Step, until } from "../../lab/run.ts";
import { Registry } from "../../oci/registry.ts";
import { type Walk, walk } from "../../oci/walk.ts";
import { storeAt } from "../components/registryVm/upkeep/exampleStore.ts";
import {
	type Case,
	damage,
	expectedOnDisk,
	expectedSubjects,
	makeCase,
	namedBySha512,
	tellsNoLies,
	wrongSizes,
} from "./damagedStore.ts";
import { checkout, run } from "./lab.ts";

const CASES = 500;
const step = new Step("test-damage");
const data = mkdtempSync(join(tmpdir(), "damage-test-"));
const example = storeAt(data);
const cases: Case[] = [];
let engine: Engine;
/** Two registries over the same storage: as the private one is set up, and with the cache that makes HEAD blind. */
let honest: Started;
let blind: Started;

interface Started {
	address: string;
	registry: Registry;
	container: string;
}

beforeAll(async () => {
	for (let seed = 1; seed <= CASES; seed++) cases.push(await makeCase(example, seed));
	example.age();
	engine = (await findEngine(step)) as Engine;
	const { registry } = await buildImages(engine, step, () => {});
	honest = await start(registry, []);
	blind = await start(registry, ["--env", "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=inmemory"]);
});
afterAll(async () => {
	for (const { container, registry } of [honest, blind]) {
		await registry.close();
		await engine.docker(step, ["rm", "--force", "--volumes", container]);
	}
	rmSync(data, { recursive: true });
});

async function start(image: string, more: string[]): Promise<Started> {
	const options = [
		"--detach",
		"--label",
		LABEL,
		...Object.entries(goEnvironment).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
		"--publish",
		"127.0.0.1::5000",
		"--volume",
		`${data}:/var/lib/registry`,
	];
	const container = await engine.docker(step, ["run", ...options, ...more, image]);
	const address = await engine.docker(step, ["port", container, "5000/tcp"]);
	const registry = new Registry({ url: `http://${address}`, patience: 1 });
	await until("the registry answers", 30, () =>
		registry.identity().then(
			() => true,
			() => false,
		),
	);
	return { address, registry, container };
}

/** Runs the work for every case, a few at a time. */
async function forEachCase(some: Case[], work: (one: Case) => Promise<void>): Promise<void> {
	const waiting = [...some];
	await Promise.all(
		Array.from({ length: 4 }, async () => {
			for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await work(one);
		}),
	);
}

/** What the walk names, by tag. */
function named({ defects }: Walk, tag: string): string[] {
	return [
		...new Set(defects.filter(({ references }) => references.includes(tag)).map(({ subject }) => subject)),
	].sort();
}

/** The cases of which the walk names something else than what is broken. */
async function mistaken({ registry }: Started, how: { deep: boolean; blind?: boolean }): Promise<string[]> {
	const wrong: string[] = [];
	await forEachCase(cases, async (one) => {
		const walked = await walk(registry, one.repository, [...one.tags.keys()], { deep: () => how.deep });
		if (walked.inconclusive.length > 0) wrong.push(`seed ${one.seed}: could not tell ${walked.inconclusive}`);
		for (const tag of one.tags.keys()) {
			const [expected, found] = [[...expectedSubjects(one, tag, how)].sort(), named(walked, tag)];
			if (JSON.stringify(expected) !== JSON.stringify(found))
				wrong.push(`seed ${one.seed} ${tag}: expected ${expected}, found ${JSON.stringify(walked.defects)}`);
		}
	});
	return wrong;
}

/** The tags of 60 cases of which crane, reading everything, says something else than was expected. */
async function craneDisagrees(): Promise<string[]> {
	const wrong: string[] = [];
	// It asks again and again for what is answered with 500.
	await forEachCase(cases.slice(0, 60), async (one) => {
		for (const tag of one.tags.keys()) {
			if (one.artifacts.has(tag) || !tellsNoLies(one, tag)) continue;
			const whole = expectedSubjects(one, tag, { deep: true }).size === 0;
			const { exitCode, output } = await run("crane", [
				"validate",
				"--remote",
				`${honest.address}/${one.repository}:${tag}`,
			]);
			if ((exitCode === 0) !== whole)
				wrong.push(`seed ${one.seed} ${tag}: ${whole ? "whole" : "broken"}, but crane: ${output}`);
		}
	});
	return wrong;
}

describe("before anything is damaged", () => {
	it("the catalog has every repository, over several pages, and tags are all there", async () => {
		const many = Array.from({ length: 2100 }, (_, i) => `many/${String(i).padStart(4, "0")}`);
		for (const name of many)
			mkdirSync(join(data, "docker/registry/v2/repositories", name, "_layers"), { recursive: true });
		const found = await honest.registry.catalog();
		expect(found).toHaveLength(CASES + many.length);
		expect(found).toEqual([...cases.map(({ repository }) => repository), ...many]);
		const { stdout } = await run("crane", ["catalog", "--insecure", honest.address]);
		expect(found).toEqual(stdout.split("\n"));
		for (const { repository, tags } of cases.slice(0, 20))
			expect((await honest.registry.tags(repository)).sort()).toEqual([...tags.keys()].sort());
		rmSync(join(data, "docker/registry/v2/repositories/many"), { recursive: true });
	});

	it("the walk names only what contradicts itself", async () => {
		expect(await mistaken(honest, { deep: true })).toEqual([]);
		expect(await mistaken(blind, { deep: false, blind: true })).toEqual([]); // And the cache has seen everything.
	});

	it("crane finds everything whole", async () => {
		expect(await craneDisagrees()).toEqual([]);
	});

	it("a push that was collected around passes where HEAD is blind, and verify says so (trap 13)", async () => {
		const [api, repository] = [new Api(`http://${blind.address}`), "trap/thirteen"];
		const layer = await api.putBlob(repository, Buffer.from("a layer"));
		const config = await api.putBlob(repository, Buffer.from("{}"));
		const blobs = join(data, "docker/registry/v2/blobs");
		await run("cp", ["-al", blobs, `${blobs}.before`]);
		const collect = ["registry", "garbage-collect", "/etc/docker/registry/config.yml"];
		await engine.docker(step, ["exec", blind.container, ...collect]);
		const mediaType = "application/vnd.oci.image.manifest.v1+json";
		const manifest = { schemaVersion: 2, mediaType, config, layers: [layer] };
		await api.putManifest(repository, "1", Buffer.from(JSON.stringify(manifest)), mediaType); // 201.
		expect((await blind.registry.head(repository, layer.digest)).status).toBe(200);
		const image = `${blind.address}/${repository}:1`;
		const { exitCode, output } = await run("node", ["scripts/verify.ts", image, "--plain-http"], { cwd: checkout });
		expect(output).toContain(
			`${repository} ${layer.digest} can't be read to its end: the registry answered 206 with 0 bytes`,
		);
		expect(exitCode).toBe(1);
		rmSync(join(data, "docker/registry/v2/repositories/trap"), { recursive: true });
		// The registry's own collection also takes the content of what is named by SHA-512 (docs/adr/0009).
		const sha512 = cases.flatMap(namedBySha512);
		expect(sha512.length).toBeGreaterThan(0);
		expect(sha512.filter((digest) => example.store.blobSize(digest) !== undefined)).toEqual([]);
		rmSync(blobs, { recursive: true });
		renameSync(`${blobs}.before`, blobs);
	});

	it("the scan names only sizes that contradict each other", () => {
		expect(onDisk()).toEqual([]);
	});
});

describe(`after random damage to ${CASES} registries`, () => {
	beforeAll(() => {
		for (const one of cases) damage(example, one);
		example.age(); // A link that is just being written is not broken.
	});

	it("most cases are damaged, every kind of damage is there, and many are whole", () => {
		const kinds = new Set(cases.flatMap(({ damaged, tagsDamaged }) => [...damaged.values(), ...tagsDamaged.values()]));
		expect([...kinds].sort()).toEqual(
			[
				"dangling",
				"empty link",
				"emptied",
				"flipped",
				"gone",
				"grown",
				"malformed link",
				"no link",
				"truncated",
				"unlinked",
			].sort(),
		);
		expect(cases.filter(({ noRevisions }) => noRevisions).length).toBeGreaterThan(5);
		const whole = cases.filter((one) =>
			[...one.tags.keys()].every((tag) => expectedSubjects(one, tag, { deep: true }).size === 0),
		);
		expect(whole.length).toBeGreaterThan(CASES / 10);
	});

	it("the walk finds all of it, but for changed bytes in layers", async () => {
		expect(await mistaken(honest, { deep: false })).toEqual([]);
	});

	it("the deep walk finds changed bytes, too", async () => {
		expect(await mistaken(honest, { deep: true })).toEqual([]);
	});

	it("the walk finds what a registry whose HEAD is blind no longer delivers", async () => {
		expect(await mistaken(blind, { deep: false, blind: true })).toEqual([]);
	});

	it("crane, reading everything, agrees", async () => {
		expect(await craneDisagrees()).toEqual([]);
	});

	it("the scan of the disk finds all of it", () => {
		expect(onDisk()).toEqual([]);
	});

	it("npm run verify says so by its exit status", async () => {
		for (const one of cases.slice(0, 8)) {
			const [tag] = [...one.tags.keys()] as [string];
			const image = `${honest.address}/${one.repository}:${tag}`;
			const { exitCode, output } = await run("node", ["scripts/verify.ts", image, "--plain-http", "--deep"], {
				cwd: checkout,
			});
			expect(exitCode, output).toBe(expectedSubjects(one, tag, { deep: true }).size === 0 ? 0 : 1);
		}
	});
});

describe("what chance does not make", () => {
	const OCI = "application/vnd.oci.image";
	const { store } = example;
	const configOf = (text: string) => JSON.stringify({ os: "linux", architecture: "amd64", text });
	const image = (repository: string, layer: { digest: string; size: number }, text: string, tag?: string) => {
		const config = { mediaType: `${OCI}.config.v1+json`, ...example.layer(repository, configOf(text)) };
		const layers = [{ mediaType: `${OCI}.layer.v1.tar`, ...layer }];
		return example.manifest(
			repository,
			{ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers },
			tag,
		);
	};
	const subjects = async (repository: string, tag = "1") => named(await walk(honest.registry, repository, [tag]), tag);
	const scanned = (repository: string) =>
		scan(store, { registry: "private", cache: false, fix: false })
			.filter((finding) => finding.repository === repository)
			.map(({ problem, subject }) => `${problem} ${subject}`);

	it("a layer of two repositories: its link is the one's, its content both's", async () => {
		const layer = example.layer("hand/first", "mounted from one to the other");
		example.layer("hand/second", "mounted from one to the other");
		image("hand/first", layer, "first", "1");
		const second = image("hand/second", layer, "second", "1");
		expect([await subjects("hand/first"), await subjects("hand/second")]).toEqual([[], []]);
		rmSync(dirname(store.repository("hand/second").layerLink(layer.digest)), { recursive: true });
		expect([await subjects("hand/first"), await subjects("hand/second")]).toEqual([[], [layer.digest]]);
		expect([scanned("hand/first"), scanned("hand/second")]).toEqual([[], [`missing-layer-link ${second}`]]);
		truncateSync(store.blobPath(layer.digest), 3);
		expect([await subjects("hand/first"), await subjects("hand/second")]).toEqual([[layer.digest], [layer.digest]]);
	});

	it("an index of a thousand images, of which one is gone", async () => {
		const layer = example.layer("hand/huge", "the same in all");
		const children = Array.from({ length: 1000 }, (_, i) => image("hand/huge", layer, `child ${i}`));
		const index = example.index("hand/huge", children, "1");
		expect(await subjects("hand/huge")).toEqual([]);
		const gone = children[700] as string;
		rmSync(dirname(store.repository("hand/huge").revisionLink(gone)), { recursive: true });
		expect(await subjects("hand/huge")).toEqual([gone]);
		expect(scanned("hand/huge")).toEqual([`orphan-child ${index}`]);
	});

	it("an index that leads back to itself, because somebody changed a child of it", async () => {
		const layer = example.layer("hand/loop", "a layer");
		const child = image("hand/loop", layer, "child");
		const index = example.index("hand/loop", [child], "1");
		const back = { mediaType: `${OCI}.index.v1+json`, digest: index, size: store.blobSize(index) };
		const content = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [back] };
		writeFileSync(store.blobPath(child), JSON.stringify(content));
		expect(await subjects("hand/loop")).toEqual([child]);
		expect(scanned("hand/loop")).toContain(`wrong-content ${child}`);
	});

	it("a manifest of a kind that nobody here knows is not called whole", async () => {
		const digest = example.manifest(
			"hand/unknown",
			{ schemaVersion: 2, mediaType: "application/vnd.unknown.v9+json" },
			"1",
		);
		expect(await subjects("hand/unknown")).toEqual(["1"]);
		expect(scanned("hand/unknown")).toEqual([`unreadable-manifest ${digest}`]);
		const reference = `${honest.address}/hand/unknown:1`;
		const { exitCode } = await run("node", ["scripts/verify.ts", reference, "--plain-http"], { cwd: checkout });
		expect(exitCode).toBe(1);
	});
});

/** The cases of which the scan names something else than what is broken. */
function onDisk(): string[] {
	const findings = scan(example.store, { registry: "private", cache: false, fix: false, deep: true });
	return cases.flatMap((one) => {
		const said = findings
			.filter(({ repository }) => repository === one.repository)
			.map(({ problem, subject, detail }) => `${problem} ${subject} ${detail}`);
		const expected = expectedOnDisk(one);
		const allowed = [...expected, ...wrongSizes(one), ...(one.noRevisions ? [...one.tags.keys()] : [])];
		return [
			...[...expected]
				.filter((subject) => !said.some((line) => line.includes(subject)))
				.map((subject) => `seed ${one.seed}: ${subject} was not found`),
			...said
				.filter((line) => !allowed.some((subject) => line.includes(subject)))
				.map((line) => `seed ${one.seed}: ${line}`),
		];
	});
}
