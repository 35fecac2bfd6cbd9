/** The upkeep on the VM, against the real registry: what the old one broke, ours leaves whole. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { caches, published } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import { writeMultiArchLayout } from "./image.ts";
import { askVm, begin, docker, env, leave, monitoringImage, onVm, run, up, variant } from "./lab.ts";
import { type Pushed, pushed, STORE, wipe } from "./pushed.ts";

const REPOSITORY = "upkeep/app";
let app: Pushed;

beforeAll(async () => {
	await begin();
	await wipe();
	app = await pushed(REPOSITORY);
});
afterEach(wipe);
afterAll(async () => {
	await app[Symbol.asyncDispose]();
	await leave();
});

describe("garbage collection", () => {
	it("the registry's own, with -m, destroys a healthy index (trap 7)", async () => {
		await app.push("latest");
		expect(await app.isWhole("latest")).toBe(true);
		await onVm("docker exec registry-private registry garbage-collect -m /etc/docker/registry/config.yml");
		expect(await app.isWhole("latest")).toBe(false);
	});

	it("ours leaves it whole, and gives back what nothing refers to", async () => {
		await app.push("latest", "one");
		const old = await app.push("replaced", "two");
		const [layer] = (await app.children("replaced")) as [string];
		await app.crane("tag", `${app.image}:latest`, "replaced"); // What was under the name is now under none.
		const { exitCode, output } = await askVm("/opt/registry/garbage-collect.sh private --grace-hours 0");
		expect(output).toMatch(/private: removed \d+ manifests and \d+ blobs/);
		expect(exitCode, output).toBe(0);
		await app.answers();
		expect(await app.isWhole("latest")).toBe(true);
		expect((await askVm(`ls ${app.blob(old)} ${app.blob(layer)}`)).output.match(/No such file/g)).toHaveLength(2);
		expect((await askVm("/opt/registry/fix-broken-blobs.sh --dry-run")).exitCode).toBe(0);
	});

	it("refuses where something is broken, says what, and stops nobody", async () => {
		const index = await app.push("latest");
		const [child] = (await app.children("latest")) as [string];
		await onVm(`rm -r ${app.link("_manifests/revisions", child)}`);
		const started = "docker inspect --format '{{.State.StartedAt}}' registry-private";
		const before = await onVm(started);
		const { exitCode, output } = await askVm("/opt/registry/garbage-collect.sh private --grace-hours 0");
		expect(exitCode).toBe(1);
		expect(output).toContain(`${REPOSITORY} orphan-child ${index}: lacks its child ${child}`);
		expect(output).toContain("was not collected");
		expect(await onVm(started)).toBe(before);
	});

	it("that is killed leaves the registry running", async () => {
		await app.push("latest");
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
		await app.answers();
		expect(await app.isWhole("latest")).toBe(true);
	});

	it("keeps away from a registry it does not know", async () => {
		const { exitCode, output } = await askVm("/opt/registry/garbage-collect.sh nonesuch");
		expect(exitCode).toBe(2);
		expect(output).toContain("usage: garbage-collect.sh dockerhub|ghcr|quay|k8s|kyverno|private");
	});
});

describe("a cache", () => {
	const [{ upstream, port }] = caches as [(typeof caches)[number]];
	const cached = `127.0.0.1:${published(port)}/trimmed/app`;
	const tags = ["1", "2", "3", "4"];
	const stored = () =>
		onVm("ls /opt/registry/data/dockerhub/docker/registry/v2/repositories/trimmed/app/_manifests/tags");
	const used = async () => Number(await onVm("du -s /opt/registry/data/dockerhub | cut -f 1"));

	it("that was filled is trimmed to its newest tags, gives back what they do not need, and can be pulled from again", async () => {
		const address = (await docker("port", upstream.container, "5000/tcp")).stdout;
		const crane = (...args: string[]) => run("crane", args);
		for (const tag of tags) {
			const layout = join(app.folder, `cached-${tag}`);
			await writeMultiArchLayout(layout, `cached ${tag} ${Date.now()}`);
			expect((await crane("push", layout, `${address}/trimmed/app:${tag}`)).exitCode).toBe(0);
			expect((await crane("validate", "--remote", `${cached}:${tag}`)).exitCode).toBe(0);
		}
		const before = await used();
		const dry = await onVm("/opt/registry/cleanup-tags.sh --keep 2 --dry-run");
		expect(dry).toContain("dockerhub: would remove trimmed/app:1");
		expect(await stored()).toBe(tags.join("\n"));
		await onVm("/opt/registry/cleanup-tags.sh --keep 2");
		expect(await stored()).toBe("3\n4");
		const collected = await onVm("/opt/registry/garbage-collect.sh dockerhub --grace-hours 0");
		expect(collected).toMatch(/dockerhub: removed [1-9]\d* manifests and [1-9]\d* blobs/);
		expect(await used()).toBeLessThan(before);
		for (const tag of tags)
			await until(`${tag} can be pulled`, 60, async () => {
				return (await crane("validate", "--remote", `${cached}:${tag}`)).exitCode === 0;
			});
	});

	it("that is fetching something is left alone until it has it", async () => {
		const upload = "/opt/registry/data/dockerhub/docker/registry/v2/repositories/trimmed/app/_uploads/under-way";
		await onVm(`mkdir -p ${upload} && touch ${upload}/data`);
		const running = askVm("timeout 20 /opt/registry/garbage-collect.sh dockerhub");
		await onVm(`for i in 1 2 3 4 5; do touch ${upload}/data; sleep 1; done`);
		expect(await onVm("docker inspect --format '{{.State.Status}}' registry-dockerhub")).toBe("running");
		await onVm(`touch -d '1 hour ago' ${upload}/data`);
		const { output } = await running;
		expect(output).toContain("dockerhub: removed");
		await onVm(`rm -r ${upload}`);
	});
});

describe("fix-broken-blobs.sh", () => {
	const scan = (...args: string[]) => askVm(`/opt/registry/fix-broken-blobs.sh ${args.join(" ")}`);

	it("finds an orphan child by its revision link, where crane finds the image broken, too (trap 8)", async () => {
		const index = await app.push("latest");
		const [child] = (await app.children("latest")) as [string];
		expect((await scan("--dry-run")).exitCode).toBe(0);
		await onVm(`rm -r ${app.link("_manifests/revisions", child)}`);
		expect(await app.isWhole("latest")).toBe(false);
		const { exitCode, output } = await scan("--dry-run");
		expect(exitCode).toBe(1);
		expect(output).toContain(`${REPOSITORY} orphan-child ${index}`);
		expect(output).toContain("can be relinked");
	});

	it("heals what a full disk left of a push: empty links, for which nobody could push the same again (trap 15)", async () => {
		const first = await app.push("latest", "before the disk was full");
		const last = await app.push("latest", "the last that was taken");
		await app.push("never", "its tag was cut off");
		const [child] = (await app.children("latest")) as [string];
		const layer = (await app.manifest(`${app.image}@${child}`)).layers[0].digest;
		const tags = `${STORE}/repositories/${REPOSITORY}/_manifests/tags`;
		const links = [
			`${app.link("_manifests/revisions", child)}/link`,
			`${app.link("_layers", layer)}/link`,
			...["latest", "never"].map((tag) => `${tags}/${tag}/current/link`),
		].join(" ");
		await onVm(`rm -r ${tags}/never/index && truncate -s 0 ${links}`);
		expect((await app.crane("copy", `${app.image}@${first}`, `${app.image}:latest`)).output).toContain("500");

		// What is younger than a minute may just be being written.
		await onVm(`touch -d '2 minutes ago' ${links} $(dirname ${links}) ${tags}/never`);
		// That there is room again is seen at the second look.
		const full = `${STORE.slice(0, STORE.indexOf("/data/"))}/data/full`;
		const measure = "/opt/registry/upkeep.sh measure || [ $? -eq 2 ]";
		await onVm(`mkdir ${full} && mount -t tmpfs -o size=64k tmpfs ${full} && fallocate --length 64k ${full}/a`);
		expect(await onVm(`{ ${measure}; } && umount ${full} && rmdir ${full}; ${measure}`)).not.toContain("room again");
		const scanned = await onVm(measure);
		expect(scanned).toContain("the disk was full and has room again");
		for (const digest of [child, layer]) expect(scanned).toMatch(new RegExp(`${digest}: .*\\(written again\\)`));
		const { exitCode, output } = await askVm(`/opt/registry/repair.sh ${REPOSITORY}`);
		expect(exitCode, output).toBe(1);
		expect(output).toContain(`${REPOSITORY}:latest, which has an empty link file: it is ${last} again`);
		expect(output).toMatch(/upkeep\/app:never: it has an empty link file, .*; push it again/);

		expect((await app.crane("digest", `${app.image}:latest`)).stdout).toBe(last);
		expect(await app.isWhole("latest")).toBe(true);
		await app.push("never", "its tag was cut off");
		expect(await app.isWhole("never")).toBe(true);
		expect((await scan("--dry-run")).exitCode).toBe(0);
	});

	it("heals manifests that a full disk or a power cut left truncated, which nobody could push again, or only as broken ones (trap 15)", async () => {
		const indexes = [await app.push("refused"), await app.push("accepted")];
		const [child] = (await app.children("refused")) as [string];
		const cut = [child, indexes[1] as string];
		const contents = cut.map((digest) => `${app.blob(digest)}/data`).join(" ");
		const [link, ...unwritten] = [child, ...indexes].map((digest) => app.link("_manifests/revisions", digest));
		const tags = `${STORE}/repositories/${REPOSITORY}/_manifests/tags`;
		await onVm(`truncate -s 0 ${contents} ${link}/link && rm -r ${unwritten.join(" ")} ${tags}`);
		await onVm(`touch -d '2 minutes ago' ${contents} ${link}/link ${link}`);
		const again = (tag: string) => app.crane("push", join(app.folder, `layout-${tag}`), `${app.image}:${tag}`);
		expect((await again("refused")).output).toContain("500");
		expect((await again("accepted")).exitCode).toBe(0);
		expect(await app.isWhole("accepted")).toBe(false);

		const { output } = await scan("--truncated");
		for (const digest of cut)
			expect(output).toContain(`wrong-content ${digest}: its content was cut off after 0 bytes (set aside)`);
		expect(output).toContain(`broken-revision-link ${child}: has an empty link file (removed)`);
		for (const tag of ["refused", "accepted"]) {
			expect((await again(tag)).exitCode).toBe(0);
			expect(await app.isWhole(tag)).toBe(true);
		}
		expect((await scan("--dry-run", "--truncated")).exitCode).toBe(0);
	});

	it("removes a layer link that leads nowhere, not in a dry run, and the next push heals (trap 9)", async () => {
		await app.push("latest");
		const [platform] = (await app.children("latest")) as [string];
		const layer = (await app.manifest(`${app.image}@${platform}`)).layers[0].digest as string;
		const content = join(app.folder, "layer");
		await run("sh", ["-c", 'crane blob "$0" >"$1"', `${app.image}@${layer}`, content], app.client);
		// crane would skip it, because it has seen the manifest; regctl asks for the layer.
		const pushLayer = () => run("sh", ["-c", 'regctl blob put "$0" <"$1"', app.image, content], app.client);
		await onVm(`rm -r ${app.blob(layer)}`);
		expect((await scan("--dry-run")).exitCode).toBe(1);
		await onVm(`test -e ${app.link("_layers", layer)}/link`);
		expect((await scan()).output).toContain(`orphan-layer-link ${layer}`);
		expect((await askVm(`test -e ${app.link("_layers", layer)}`)).exitCode).toBe(1);
		expect(await app.isWhole("latest")).toBe(false);
		expect((await pushLayer()).output).toContain(layer);
		expect(await app.isWhole("latest")).toBe(true);
		expect((await scan("--dry-run")).exitCode).toBe(0);
	});

	it("finds a truncated layer, where HEAD of a registry without the cache tells, too", async () => {
		await app.push("latest");
		const [platform] = (await app.children("latest")) as [string];
		const layer = (await app.manifest(`${app.image}@${platform}`)).layers[0];
		await onVm(`truncate -s 10 ${app.blob(layer.digest)}/data`);
		const { exitCode, stdout } = await scan("--dry-run", "--json");
		expect(exitCode).toBe(1);
		expect(JSON.parse(stdout)).toMatchObject({ problem: "wrong-size", repository: REPOSITORY, subject: platform });
	});

	it("ends every update that bounced somebody, and what it finds is told and fails nothing", async () => {
		const index = await app.push("latest");
		const [child] = (await app.children("latest")) as [string];
		await onVm(`rm -r ${app.link("_manifests/revisions", child)}`);
		await using changed = await variant();
		await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # scan");
		const { exitCode, output } = await changed.up();
		expect(output).toContain(`${REPOSITORY} orphan-child ${index}`);
		expect(exitCode).toBe(0);
		await up();
	});

	it("leaves metrics that promtool takes, with what it found and did not take away", async () => {
		const index = await app.push("latest");
		const [child] = (await app.children("latest")) as [string];
		await onVm(`rm -r ${app.link("_manifests/revisions", child)}`);
		expect((await scan("--metrics", "/run/scan.prom")).output).toContain(`orphan-child ${index}`);
		const metrics = `${await onVm("cat /run/scan.prom; rm /run/scan.prom")}\n`;
		expect(metrics).toContain('registry_scan_findings{registry="private",problem="orphan-child"} 1\n');
		expect(metrics).toContain('registry_scan_findings{registry="ghcr",problem="orphan-layer-link"} 0\n');
		const image = await monitoringImage();
		const judged = await run("docker", ["run", "--rm", "--interactive", image, "promtool", "check", "metrics"], {
			env: { DOCKER_HOST: env("LAB_DOCKER_HOST") },
			input: metrics,
		});
		expect(judged.exitCode, judged.output).toBe(0);
	});

	it("says that it can't tell where it is called wrongly", async () => {
		const { exitCode, output } = await scan("--dryrun");
		expect(exitCode).toBe(2);
		expect(output).toContain("--dryrun");
	});
});

describe("cleanup-tags.sh", () => {
	it("keeps the newest, and what it leaves can be pulled", async () => {
		for (const tag of ["1", "2", "3"]) await app.push(tag);
		const { exitCode, output } = await askVm("/opt/registry/cleanup-tags.sh --keep 2");
		expect(exitCode, output).toBe(0);
		expect(output).toContain(`removed ${REPOSITORY}:1`);
		const { stdout } = await app.crane("ls", app.image);
		expect(stdout.split("\n").sort()).toEqual(["2", "3"]);
		for (const tag of ["2", "3"]) expect(await app.isWhole(tag)).toBe(true);
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
