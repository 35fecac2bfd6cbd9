/**
 * What happened, replayed: how the old upkeep broke images, that ours does not, that damage already done is found by
 * the probe at its next run, and what heals it.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { monitoring, PREFIX, privateRegistry, published, STACK } from "../../lab/estate.ts";
import { askVm, begin, checkout, env, leave, onVm, run } from "./lab.ts";
import { type Pushed, pushed, STORE, wipe } from "./pushed.ts";

const REPOSITORY = "infra-ci";
/** Not the cluster's, which has alerts on it. */
const INSTANCE = "incidents";
const OLD_COLLECTION = "docker exec registry-private registry garbage-collect";
const CONFIG = "/etc/docker/registry/config.yml";
const canary = `node /opt/registry/upkeep.mjs canary --private ${privateRegistry.name} canary`;
let app: Pushed;

beforeAll(async () => {
	await begin();
	app = await pushed(REPOSITORY);
	await wipe();
	await onVm(canary);
});
afterEach(async () => {
	await wipe();
	await app.answers();
	await onVm(canary);
});
afterAll(async () => {
	await app[Symbol.asyncDispose]();
	const group = `http://127.0.0.1:${monitoring.pushgateway.port}/metrics/job/registry-integrity-probe/instance/${INSTANCE}`;
	for (const url of [group, `${group}/result/success`]) await fetch(url, { method: "DELETE" });
	await leave();
});

/** One run of the probe, as in the cluster but for where it runs. */
async function probe(): Promise<string> {
	const variables = {
		REGISTRY_URL: `https://${env("LAB_REGISTRY")}`,
		REGISTRY_NAME: privateRegistry.name,
		REGISTRY_USER: env("LAB_REGISTRY_USER"),
		REGISTRY_PASSWORD: env("LAB_REGISTRY_PASSWORD"),
		REGISTRY_CA: env("LAB_REGISTRY_CA"),
		CANARY: "canary",
		PUSHGATEWAY_URL: `http://127.0.0.1:${monitoring.pushgateway.port}`,
		INSTANCE,
	};
	const { exitCode, output } = await run("node", ["components/integrityMonitoring/probe/main.ts"], {
		cwd: checkout,
		env: variables,
	});
	expect(exitCode, output).toBe(0);
	return output;
}
const repair = (tag: string, environment: Record<string, string> = {}) =>
	run("node", ["scripts/repair.ts", `${app.image}:${tag}`, "--stack", STACK], { cwd: checkout, env: environment });
const verify = (tag: string) =>
	run("node", ["scripts/verify.ts", `${app.image}:${tag}`, "--ca", env("LAB_REGISTRY_CA")], {
		cwd: checkout,
		env: { REGISTRY_USER: env("LAB_REGISTRY_USER"), REGISTRY_PASSWORD: env("LAB_REGISTRY_PASSWORD") },
	});

describe("2026-04-13: the weekly collection takes the children of an index", () => {
	it("the old one breaks the image; the probe says so, and repair copies what a cache still has", async () => {
		await app.push("latest", "incident one");
		// The same image is upstream of a cache, and was pulled through it.
		const upstream = `${PREFIX}-upstream-ghcr`;
		const { stdout: port } = await run("docker", ["port", upstream, "5000/tcp"], {
			env: { DOCKER_HOST: env("LAB_DOCKER_HOST") },
		});
		expect((await app.crane("push", join(app.folder, "layout-latest"), `${port}/${REPOSITORY}:latest`)).exitCode).toBe(
			0,
		);
		const cache = `localhost:${published(5010)}/${REPOSITORY}:latest`;
		expect((await app.crane("validate", "--remote", cache)).exitCode).toBe(0);

		await onVm(`${OLD_COLLECTION} -m ${CONFIG}`);
		expect(await app.isWhole("latest")).toBe(false);
		expect(await probe()).toMatch(
			/broken: infra-ci sha256:\w+ is not there: the registry answered 404 \(needed by latest\)/,
		);

		const { exitCode, output } = await repair("latest");
		expect(output).toMatch(/copied from ghcr/);
		expect(output).toContain("is whole again");
		expect(exitCode).toBe(0);
		expect(await app.isWhole("latest")).toBe(true);
		expect(await probe()).toContain(": 0 broken;");
	});

	it("where nobody has the pieces any more, repair says what is missing and where to go from there", async () => {
		await app.push("latest");
		await app.push("other");
		await onVm(`${OLD_COLLECTION} -m ${CONFIG}`);
		await app.push("other", "incident other");
		const { exitCode, output } = await repair("latest");
		expect(output).toContain("not to be had on this machine: sha256:");
		expect(output).toContain("whole tags of the same repository: other");
		expect(output).toContain("build it anew and push it: docs/runbooks/registry-rebuild-image.md");
		expect(output).toContain("is still broken");
		expect(exitCode).toBe(1);
	});

	it("ours, once a week and with nothing spared for its youth, leaves it whole", async () => {
		await app.push("latest");
		for (const command of [
			"cleanup-tags.sh --keep 10",
			"garbage-collect.sh private --grace-hours 0",
			"fix-broken-blobs.sh",
		])
			await onVm(`/opt/registry/${command}`);
		await app.answers();
		expect(await app.isWhole("latest")).toBe(true);
		expect(await probe()).toContain(": 0 broken;");
	});
});

describe("2026-04-19: an index whose children the registry has forgotten", () => {
	it("the old scan looked at contents and saw nothing; ours sees it, links the children again, and collects only then", async () => {
		await app.push("latest");
		const children = await app.children("latest");
		for (const child of children) await onVm(`rm -r ${app.link("_manifests/revisions", child)}`);
		expect(await app.isWhole("latest")).toBe(false);
		for (const child of children) await onVm(`test -s ${app.blob(child)}/data`); // All that the old scan asked.
		expect(await probe()).toContain("3 broken");

		const gated = await askVm("/opt/registry/garbage-collect.sh private --grace-hours 0");
		expect(gated.output).toContain("private was not collected");
		expect(gated.exitCode).toBe(1);

		const { exitCode, output } = await askVm("/opt/registry/fix-broken-blobs.sh --relink");
		expect(output.match(/relinked sha256:/g)).toHaveLength(3);
		expect(exitCode).toBe(0);
		expect(await app.isWhole("latest")).toBe(true);
		await onVm("/opt/registry/garbage-collect.sh private --grace-hours 0");
		await app.answers();
		expect(await app.isWhole("latest")).toBe(true);
		expect(await probe()).toContain(": 0 broken;");
	});

	it("a child whose layers are gone as well can't be linked again, and the registry's own answer says why", async () => {
		await app.push("latest");
		const [child] = (await app.children("latest")) as [string];
		const { layers } = await app.manifest(`${app.image}@${child}`);
		await onVm(`rm -r ${app.link("_manifests/revisions", child)} ${app.blob(layers[0].digest)}`);
		const { exitCode, output } = await askVm("/opt/registry/fix-broken-blobs.sh --relink");
		expect(output).toMatch(/can't be relinked: sha256:\w+: PUT .*400 .*blob unknown/);
		expect(exitCode).toBe(1);
	});
});

describe("2026-05-04: a push and a collection at the same time", () => {
	/** Pushes an image's layer and config, collects, and only then pushes its manifest, as a slow push does. */
	async function pushAround(collection: () => Promise<unknown>) {
		await app.push("source");
		const [child] = (await app.children("source")) as [string];
		const { stdout } = await app.crane("manifest", `${app.image}@${child}`);
		const manifest = JSON.parse(stdout);
		const blobs = [manifest.config, ...manifest.layers] as { digest: string }[];
		const kept = await Promise.all(
			blobs.map(async ({ digest }, i) => {
				const file = join(app.folder, `blob-${i}`);
				await run("sh", ["-c", 'crane blob "$0" >"$1"', `${app.image}@${digest}`, file], app.client);
				expect((await readFile(file)).length).toBeGreaterThan(0);
				return file;
			}),
		);
		await wipe();
		await app.answers();
		await app.push("tool"); // Something to collect around.
		for (const file of kept) await run("sh", ["-c", 'regctl blob put "$0" <"$1"', app.image, file], app.client);
		await collection();
		await app.answers();
		const put = await run(
			"sh",
			["-c", 'regctl manifest put --content-type "$1" "$0:slow"', app.image, manifest.mediaType],
			{
				...app.client,
				input: stdout,
			},
		);
		return { put, blobs };
	}

	it("the old collection takes the layers in between; without a cache in memory, the registry then refuses the manifest", async () => {
		const { put } = await pushAround(() => onVm(`${OLD_COLLECTION} ${CONFIG}`));
		expect(put.output).toMatch(/blob unknown|BLOB_UNKNOWN/);
		expect(put.exitCode).not.toBe(0);
	});

	it("ours leaves what is young, and the push ends well", async () => {
		const { put, blobs } = await pushAround(() => onVm("/opt/registry/garbage-collect.sh private"));
		expect(put.exitCode, put.output).toBe(0);
		for (const { digest } of blobs) await onVm(`test -s ${app.blob(digest)}/data`);
		expect(await app.isWhole("slow")).toBe(true);
		expect((await verify("slow")).exitCode).toBe(0);
	});
});

describe("a truncated layer (trap 16)", () => {
	it("is not healed by a push; repair sets it aside, and then a push does", async () => {
		await app.push("latest");
		const [child] = (await app.children("latest")) as [string];
		const { layers } = await app.manifest(`${app.image}@${child}`);
		const [{ digest }] = layers;
		const file = join(app.folder, "layer");
		await run("sh", ["-c", 'crane blob "$0" >"$1"', `${app.image}@${digest}`, file], app.client);
		const pushLayer = () => run("sh", ["-c", 'regctl blob put "$0" <"$1"', app.image, file], app.client);
		await onVm(`truncate -s 10 ${app.blob(digest)}/data`);
		await pushLayer();
		expect(await app.isWhole("latest")).toBe(false);
		const { exitCode, output } = await repair("latest");
		expect(output).toContain(`set aside ${digest}, which had other content, as /opt/registry/data/private/quarantine/`);
		expect(exitCode).toBe(1);
		expect((await pushLayer()).exitCode).toBe(0);
		expect(await app.isWhole("latest")).toBe(true);
		expect((await repair("latest")).output).toContain("is whole");
		// It logs in as docker does, where that has something for the registry, and says so where that is refused.
		const wrong = await repair("latest", { REGISTRY_USER: "nobody", REGISTRY_PASSWORD: "wrong" });
		expect(wrong.exitCode).toBe(2);
		expect(wrong.output).toMatch(/401|refuse|credentials/);
		await onVm("rm -r /opt/registry/data/private/quarantine");
	});
});

describe("while clients push and pull", () => {
	it("the scan finds nothing broken, again and again", async () => {
		let stopped = false;
		const failures: string[] = [];
		const pushing = (async () => {
			for (let i = 0; !stopped; i++) {
				await app.push(`t${i % 3}`);
				if (!(await app.isWhole(`t${i % 3}`))) failures.push(`t${i % 3}`);
			}
		})();
		const scans = await onVm(
			"for i in $(seq 30); do /opt/registry/fix-broken-blobs.sh --dry-run --json || echo FOUND; done",
		).finally(() => {
			stopped = true;
		});
		await pushing;
		expect(scans).toBe("");
		expect(failures).toEqual([]);
		expect(await onVm(`ls ${STORE}/repositories/${REPOSITORY}/_manifests/tags | wc -l`)).not.toBe("0");
	});

	it("a collection spares what they push, and nobody gets a broken image", async () => {
		let stopped = false;
		const broken: string[] = [];
		let pulls = 0;
		await app.push("old");
		const working = (async () => {
			while (!stopped) {
				const pull = await app.crane("validate", "--remote", `${app.image}:old`);
				if (pull.exitCode === 0) pulls++;
				// While the registry is stopped, nginx says so; an image that lacks something is another matter.
				else if (/MANIFEST_UNKNOWN|BLOB_UNKNOWN|404/.test(pull.output)) broken.push(pull.output);
			}
		})();
		for (let i = 0; i < 3; i++) await onVm("/opt/registry/garbage-collect.sh private");
		stopped = true;
		await working;
		await app.answers();
		expect(broken).toEqual([]);
		expect(pulls).toBeGreaterThan(0);
		expect(await app.isWhole("old")).toBe(true);
	});
});
