/** `npm run verify` against the real registry and real damage; crane's own validation is asked the same. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { caches, published } from "../../lab/estate.ts";
import { writeMultiArchLayout } from "./image.ts";
import { begin, checkout, env, loggedIn, onVm, run } from "./lab.ts";

const REPOSITORY = "verify/app";
const image = `${env("LAB_REGISTRY")}/${REPOSITORY}:latest`;
const data = "/opt/registry/data/private/docker/registry/v2";
const hex = (digest: string) => digest.replace("sha256:", "");
const blobFile = (digest: string) => `${data}/blobs/sha256/${hex(digest).slice(0, 2)}/${hex(digest)}/data`;
let folder: string;
let client: { env: Record<string, string> };

beforeAll(async () => {
	await begin();
	folder = await mkdtemp(join(tmpdir(), "verify-test-"));
	client = await loggedIn(folder);
});
beforeEach(async () => {
	await onVm(`rm -rf ${data}/repositories/verify`);
	await push();
});
afterAll(async () => {
	await onVm(`rm -rf ${data}/repositories/verify`);
	await rm(folder, { recursive: true });
});

/** An image that was not there yet. */
async function push(): Promise<void> {
	const layout = join(folder, "layout");
	await rm(layout, { recursive: true, force: true });
	await writeMultiArchLayout(layout, `verify ${Date.now()}`);
	const { exitCode, output } = await run("crane", ["push", layout, image], client);
	expect(exitCode, output).toBe(0);
}

const verify = (what: string, args: string[] = ["--ca", env("LAB_REGISTRY_CA")], more: Record<string, string> = {}) =>
	run("node", ["scripts/verify.ts", what, ...args], {
		cwd: checkout,
		env: { REGISTRY_USER: env("LAB_REGISTRY_USER"), REGISTRY_PASSWORD: env("LAB_REGISTRY_PASSWORD"), ...more },
	});
const craneFindsItWhole = async () => (await run("crane", ["validate", "--remote", image], client)).exitCode === 0;
const manifest = async (reference: string) => JSON.parse((await run("crane", ["manifest", reference], client)).stdout);
/** The digests of the first platform of the index: its manifest, config and layer. */
async function firstPlatform() {
	const child = (await manifest(image)).manifests[0].digest as string;
	const { config, layers } = await manifest(`${env("LAB_REGISTRY")}/${REPOSITORY}@${child}`);
	return { child, config: config.digest as string, layer: layers[0].digest as string };
}

describe("a whole image", () => {
	it("is found whole, by crane, too, and read to the last byte where that is asked for", async () => {
		expect(await craneFindsItWhole()).toBe(true);
		const { exitCode, output } = await verify(image);
		expect(output).toContain("is whole: 4 manifests, 6 blobs");
		expect(exitCode).toBe(0);
		const deep = await verify(image, ["--ca", env("LAB_REGISTRY_CA"), "--deep"]);
		expect(deep.output).toContain("read to the last byte");
		expect(deep.exitCode).toBe(0);
	});

	it("is found whole through a cache, without TLS and credentials", async () => {
		const [cache] = caches;
		const reference = `127.0.0.1:${published(cache?.port as number)}/${cache?.upstream.repository}:1`;
		expect((await verify(reference, ["--plain-http"], { REGISTRY_USER: "", REGISTRY_PASSWORD: "" })).exitCode).toBe(0);
	});
});

describe("--tag", () => {
	const ca = ["--ca", env("LAB_REGISTRY_CA")];
	const digest = async (tag: string) =>
		(await run("crane", ["digest", `${env("LAB_REGISTRY")}/${REPOSITORY}:${tag}`], client)).stdout;

	it("gives the tag to a whole image: the same index, byte for byte", async () => {
		const { exitCode, output } = await verify(image, [...ca, "--tag", "stable"]);
		expect(exitCode, output).toBe(0);
		expect(await digest("stable")).toBe(await digest("latest"));
		expect((await run("crane", ["validate", "--remote", image.replace("latest", "stable")], client)).exitCode).toBe(0);
	});

	it("leaves the tag where it is when the image is broken, or is not there", async () => {
		expect((await verify(image, [...ca, "--tag", "stable"])).exitCode).toBe(0);
		const before = await digest("stable");
		await push();
		expect(await digest("latest")).not.toBe(before);
		const { config } = await manifest(
			`${env("LAB_REGISTRY")}/${REPOSITORY}@${(await manifest(image)).manifests[0].digest}`,
		);
		await onVm(`rm ${blobFile(config.digest)}`);
		expect((await verify(image, [...ca, "--tag", "stable"])).exitCode).toBe(1);
		expect((await verify(image.replace("latest", "gone"), [...ca, "--tag", "stable"])).exitCode).toBe(1);
		expect(await digest("stable")).toBe(before);
	});

	it("that is none is refused before anything is asked", async () => {
		const { exitCode, output } = await verify(image, [...ca, "--tag", "a b"]);
		expect(output).toContain('"a b" is not a tag');
		expect(exitCode).toBe(2);
	});
});

describe("a broken image is found broken, and the broken piece is named", () => {
	it.each<
		[string, (pieces: Awaited<ReturnType<typeof firstPlatform>>) => [damage: string, named: string, how: RegExp]]
	>([
		[
			"a missing child",
			({ child }) => [
				`rm -r ${data}/repositories/${REPOSITORY}/_manifests/revisions/sha256/${hex(child)}`,
				child,
				/answered 404/,
			],
		],
		["a missing layer", ({ layer }) => [`rm ${blobFile(layer)}`, layer, /answered 404/]],
		["a truncated layer", ({ layer }) => [`truncate -s 7 ${blobFile(layer)}`, layer, /has 7 bytes instead of/]],
		["a missing config", ({ config }) => [`rm ${blobFile(config)}`, config, /answered 404/]],
		["a changed config", ({ config }) => [`sed -i s/linux/xinul/ ${blobFile(config)}`, config, /another digest/]],
	])("%s", async (_, damage) => {
		const [command, named, how] = damage(await firstPlatform());
		await onVm(command);
		expect(await craneFindsItWhole()).toBe(false);
		const { exitCode, output } = await verify(image);
		expect(exitCode).toBe(1);
		const lines = output.split("\n").filter((line) => line.startsWith(`${REPOSITORY} `));
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(named);
		expect(lines[0]).toMatch(how);
	});

	it("a layer with a flipped bit, by reading it", async () => {
		const { layer } = await firstPlatform();
		await onVm(`printf X | dd of=${blobFile(layer)} bs=1 seek=20 conv=notrunc status=none`);
		const { exitCode, output } = await verify(image, ["--ca", env("LAB_REGISTRY_CA"), "--deep"]);
		expect(exitCode).toBe(1);
		expect(output).toContain(`${layer} has`);
	});

	it("all that is broken, in one run", async () => {
		const { layer, config } = await firstPlatform();
		await onVm(`rm ${blobFile(layer)} ${blobFile(config)}`);
		expect((await verify(image)).output).toContain("is broken in 2 places");
	});
});

describe("could not tell", () => {
	it.each<[string, string, string[], Record<string, string>, RegExp]>([
		["a CA that is not trusted", image, [], {}, /certificate/],
		["a wrong password", image, ["--ca", env("LAB_REGISTRY_CA")], { REGISTRY_PASSWORD: "wrong" }, /answered 401/],
		["nobody there", "127.0.0.1:1/a/b:1", ["--plain-http"], {}, /ECONNREFUSED/],
		["not an image's name", "nonsense", [], {}, /is not of the form/],
	])("%s", async (_, what, args, more, message) => {
		const { exitCode, output } = await verify(what, args, more);
		expect(output).toMatch(message);
		expect(exitCode).toBe(2);
	});
});
