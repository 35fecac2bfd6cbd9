/** The upkeep on the VM, against the real registry: what the old one broke, ours leaves whole. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../lab/run.ts";
import { writeMultiArchLayout } from "./image.ts";
import { askVm, env, loggedIn, onVm, run, up } from "./lab.ts";

const REPOSITORY = "upkeep/app";
const DATA = "/opt/registry/data/private/docker/registry/v2";
const image = `${env("LAB_REGISTRY")}/${REPOSITORY}`;
let folder: string;
let client: { env: Record<string, string> };

beforeAll(async () => {
	await up();
	await wipe();
	folder = await mkdtemp(join(tmpdir(), "upkeep-test-"));
	client = await loggedIn(folder);
});
// An empty store each time: trap 7 also breaks what other tests have pushed.
const wipe = () => onVm(`rm -rf ${DATA}; docker start registry-private >/dev/null`);
afterEach(wipe);
afterAll(async () => {
	await rm(folder, { recursive: true });
	await up();
});

const crane = (...args: string[]) => run("crane", args, client);
const registryAnswers = () =>
	until(
		"the private registry answers again",
		60,
		async () => (await crane("catalog", env("LAB_REGISTRY"))).exitCode === 0,
	);

/** Pushes a multi-arch index of its own kind; resolves with its digest. */
async function push(tag: string, text = `${tag} ${Date.now()}`): Promise<string> {
	const layout = join(folder, `layout-${tag}`);
	await rm(layout, { recursive: true, force: true });
	const digest = await writeMultiArchLayout(layout, text);
	const { exitCode, output } = await crane("push", layout, `${image}:${tag}`);
	expect(exitCode, output).toBe(0);
	return digest;
}
const isWhole = async (reference: string) => (await crane("validate", "--remote", reference)).exitCode === 0;
const link = (kind: string, digest: string) =>
	`${DATA}/repositories/${REPOSITORY}/${kind}/sha256/${digest.replace("sha256:", "")}`;
const blob = (digest: string) => {
	const hex = digest.replace("sha256:", "");
	return `${DATA}/blobs/sha256/${hex.slice(0, 2)}/${hex}`;
};
/** The digests of an index's children. */
const children = async (reference: string): Promise<string[]> =>
	JSON.parse((await crane("manifest", reference)).stdout).manifests.map(({ digest }: { digest: string }) => digest);

describe("garbage collection", () => {
	it("the registry's own, with -m, destroys a healthy index (trap 7)", async () => {
		await push("latest");
		expect(await isWhole(`${image}:latest`)).toBe(true);
		await onVm("docker exec registry-private registry garbage-collect -m /etc/docker/registry/config.yml");
		expect(await isWhole(`${image}:latest`)).toBe(false);
	});

	it("ours leaves it whole, and gives back what nothing refers to", async () => {
		await push("latest", "one");
		const old = await push("replaced", "two");
		const [layer] = (await children(`${image}:replaced`)) as [string];
		await crane("tag", `${image}:latest`, "replaced"); // What was under the name is now under none.
		const { exitCode, output } = await askVm("/opt/registry/garbage-collect.sh private --grace-hours 0");
		expect(output).toMatch(/private: removed \d+ manifests and \d+ blobs/);
		expect(exitCode, output).toBe(0);
		await registryAnswers();
		expect(await isWhole(`${image}:latest`)).toBe(true);
		expect((await askVm(`ls ${blob(old)} ${blob(layer)}`)).output.match(/No such file/g)).toHaveLength(2);
		expect((await askVm("/opt/registry/fix-broken-blobs.sh --dry-run")).exitCode).toBe(0);
	});

	it("refuses where something is broken, says what, and stops nobody", async () => {
		const index = await push("latest");
		const [child] = (await children(`${image}:latest`)) as [string];
		await onVm(`rm -r ${link("_manifests/revisions", child)}`);
		const started = "docker inspect --format '{{.State.StartedAt}}' registry-private";
		const before = await onVm(started);
		const { exitCode, output } = await askVm("/opt/registry/garbage-collect.sh private --grace-hours 0");
		expect(exitCode).toBe(1);
		expect(output).toContain(`${REPOSITORY} orphan-child ${index}: lacks its child ${child}`);
		expect(output).toContain("was not collected");
		expect(await onVm(started)).toBe(before);
	});

	it("that is killed leaves the registry running", async () => {
		await push("latest");
		// The collection's own docker: it stops the registry, and then takes its time.
		const docker = '#!/bin/sh\n/usr/bin/docker "$@"\n[ "$1" != stop ] || { touch /run/stopped; sleep 60; }\n';
		await onVm(`printf '%s' '${docker}' >/usr/local/bin/docker && chmod 755 /usr/local/bin/docker`);
		try {
			const running = askVm("/opt/registry/garbage-collect.sh private");
			await until("the registry is stopped", 60, async () => (await askVm("ls /run/stopped")).exitCode === 0);
			expect(await onVm("/usr/bin/docker inspect --format '{{.State.Status}}' registry-private")).toBe("exited");
			await onVm("pkill -9 -f 'upkeep[.]mjs garbage-collect'");
			expect((await running).exitCode).not.toBe(0);
		} finally {
			await onVm("rm -f /usr/local/bin/docker /run/stopped");
		}
		await registryAnswers();
		expect(await isWhole(`${image}:latest`)).toBe(true);
	});

	it("keeps away from a registry it does not know", async () => {
		const { exitCode, output } = await askVm("/opt/registry/garbage-collect.sh nonesuch");
		expect(exitCode).toBe(2);
		expect(output).toContain("usage: garbage-collect.sh dockerhub|ghcr|quay|k8s|kyverno|private");
	});
});

describe("fix-broken-blobs.sh", () => {
	const scan = (...args: string[]) => askVm(`/opt/registry/fix-broken-blobs.sh ${args.join(" ")}`);

	it("finds an orphan child by its revision link, where crane finds the image broken, too (trap 8)", async () => {
		const index = await push("latest");
		const [child] = (await children(`${image}:latest`)) as [string];
		expect((await scan("--dry-run")).exitCode).toBe(0);
		await onVm(`rm -r ${link("_manifests/revisions", child)}`);
		expect(await isWhole(`${image}:latest`)).toBe(false);
		const { exitCode, output } = await scan("--dry-run");
		expect(exitCode).toBe(1);
		expect(output).toContain(`${REPOSITORY} orphan-child ${index}`);
		expect(output).toContain("can be relinked");
	});

	it("removes a layer link that leads nowhere, not in a dry run, and the next push heals (trap 9)", async () => {
		await push("latest");
		const [platform] = (await children(`${image}:latest`)) as [string];
		const layer = JSON.parse((await crane("manifest", `${image}@${platform}`)).stdout).layers[0].digest as string;
		const content = join(folder, "layer");
		await run("sh", ["-c", 'crane blob "$0" >"$1"', `${image}@${layer}`, content], client);
		// crane would skip it, because it has seen the manifest; regctl asks for the layer.
		const pushLayer = () => run("sh", ["-c", 'regctl blob put "$0" <"$1"', image, content], client);
		await onVm(`rm -r ${blob(layer)}`);
		expect((await scan("--dry-run")).exitCode).toBe(1);
		await onVm(`test -e ${link("_layers", layer)}/link`);
		expect((await scan()).output).toContain(`orphan-layer-link ${layer}`);
		expect((await askVm(`test -e ${link("_layers", layer)}`)).exitCode).toBe(1);
		expect(await isWhole(`${image}:latest`)).toBe(false);
		expect((await pushLayer()).output).toContain(layer);
		expect(await isWhole(`${image}:latest`)).toBe(true);
		expect((await scan("--dry-run")).exitCode).toBe(0);
	});

	it("finds a truncated layer, where HEAD of a registry without the cache tells, too", async () => {
		await push("latest");
		const [platform] = (await children(`${image}:latest`)) as [string];
		const layer = JSON.parse((await crane("manifest", `${image}@${platform}`)).stdout).layers[0];
		await onVm(`truncate -s 10 ${blob(layer.digest)}/data`);
		const { exitCode, stdout } = await scan("--dry-run", "--json");
		expect(exitCode).toBe(1);
		expect(JSON.parse(stdout)).toMatchObject({ problem: "wrong-size", repository: REPOSITORY, subject: platform });
	});

	it("says that it can't tell where it is called wrongly", async () => {
		const { exitCode, output } = await scan("--dryrun");
		expect(exitCode).toBe(2);
		expect(output).toContain("--dryrun");
	});
});

describe("cleanup-tags.sh", () => {
	it("keeps the newest, and what it leaves can be pulled", async () => {
		for (const tag of ["1", "2", "3"]) await push(tag);
		const { exitCode, output } = await askVm("/opt/registry/cleanup-tags.sh --keep 2");
		expect(exitCode, output).toBe(0);
		expect(output).toContain(`removed ${REPOSITORY}:1`);
		const { stdout } = await crane("ls", image);
		expect(stdout.split("\n").sort()).toEqual(["2", "3"]);
		for (const tag of ["2", "3"]) expect(await isWhole(`${image}:${tag}`)).toBe(true);
	});
});

describe("cron", () => {
	it("takes the table, and has what it calls", async () => {
		await onVm("touch /etc/cron.d/registry");
		const said =
			"journalctl --unit cron --since -3min --output cat | grep -i 'etc/cron.d/registry\\|\\*system\\*registry' || true";
		const lines = await until("cron has read its table", 90, async () => (await onVm(said)) || undefined);
		expect(lines).toContain("RELOAD (/etc/cron.d/registry)");
		expect(lines).not.toMatch(/error|bad|ignored/i);
		const programs = "sed -n 's/^[0-9].* root \\([^ ]*\\) .*/\\1/p' /etc/cron.d/registry | sort -u";
		expect(await onVm(`${programs} | xargs ls -l | grep -c '^-rwxr-xr-x'`)).toBe("3");
	});
});
