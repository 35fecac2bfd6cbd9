/** What an estate that was run by hand has, and what must not go on beside this program. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { push } from "../../components/integrityMonitoring/probe/metrics.ts";
import { kubectl } from "../../lab/cluster.ts";
import { monitoring, STACK } from "../../lab/estate.ts";
import { askVm, docker, drift, onVm, pulumi, run, up } from "./lab.ts";

const collection = ["dockerhub", "ghcr", "quay", "k8s", "kyverno", "private"].map(
	(name, i) =>
		`${i * 5} 3 * * 0 /usr/bin/docker exec registry-${name} registry garbage-collect -m /etc/docker/registry/config.yml >> /var/log/registry-gc.log 2>&1`,
);
const scripts = [
	"0 2 * * * python3 /opt/registry/cleanup-tags.sh 10 >> /var/log/registry-cleanup.log 2>&1",
	"30 3 * * 0 python3 /opt/registry/fix-broken-blobs.sh >> /var/log/registry-fix-blobs.log 2>&1",
	"30 2 * * 1-6 python3 /opt/registry/fix-broken-blobs.sh >> /var/log/registry-fix-blobs.log 2>&1",
];
const theirs = ["# backups of somebody else's", "15 1 * * * /usr/local/bin/backup --all # registry garbage-collect -m"];
const before = [theirs[0], ...collection, ...scripts, theirs[1]].join("\n");

beforeAll(async () => {
	await up();
	expect((await askVm("crontab -", { input: `${before}\n` })).exitCode).toBe(0);
});
afterAll(() => onVm("crontab -r || true"));

it("the nine lines of root's crontab are drift, go with the next update, and nothing else of it does", async () => {
	const found = await drift();
	expect(found.exitCode).not.toBe(0);
	expect(found.output).toContain("what ran the upkeep before no longer runs: its collection with -m destroyed images");
	await up();
	expect(await onVm("crontab -l")).toBe(theirs.join("\n"));
	expect((await drift()).exitCode).toBe(0);
	// A copy is kept.
	expect(
		await onVm(
			"cat $(ls -d /var/lib/pulumi-host/registry/generations/* | tail -n 1)/before/var/spool/cron/crontabs/root",
		),
	).toContain(before);
});

it("a line that comes back is drift again", async () => {
	await askVm("crontab -", { input: `${theirs.join("\n")}\n${collection[5]}\n` });
	expect((await drift()).exitCode).not.toBe(0);
	await up();
	expect(await onVm("crontab -l")).toBe(theirs.join("\n"));
});

describe("objects in the cluster that Terraform made", () => {
	const name = "drift-detection-dashboard";
	const kube = (...args: string[]) => docker(...kubectl("--namespace", "monitoring", ...args));
	const manifest = JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { theirs: "{}" } });

	it("are named before anything is done, with who made them; then they are as declared", async () => {
		// As on the first day: neither the state nor the cluster has it from us.
		const { stdout } = await pulumi(["stack", "--show-urns", "--stack", STACK]);
		const urn = stdout
			.split("\n")
			.flatMap((line) => /urn:\S+::drift-detection-dashboard$/.exec(line.trim()) ?? [])[0] as string;
		expect((await pulumi(["state", "delete", urn, "--yes", "--stack", STACK])).exitCode).toBe(0);
		await kube("delete", "configmap", name);
		const make = kubectl(
			"--namespace",
			"monitoring",
			"apply",
			"--server-side",
			"--field-manager",
			"Terraform",
			"--filename",
			"-",
		);
		const { exitCode, output } = await run("docker", make, {
			input: manifest,
			env: { DOCKER_HOST: process.env["LAB_DOCKER_HOST"] ?? "" },
		});
		expect(exitCode, output).toBe(0);

		const preview = await pulumi(["preview", "--stack", STACK]);
		expect(preview.output).toContain(`ConfigMap monitoring/${name} exists, written by Terraform: it is taken over`);
		await up();
		const { data } = JSON.parse((await kube("get", "configmap", name, "--output", "json")).stdout);
		expect(JSON.parse(data["drift-detection.json"]).title).toBe("Drift");
		const again = await drift();
		expect(again.exitCode, again.output).toBe(0);
		expect(again.output).not.toContain("taken over");
	});
});

describe("metrics in the Pushgateway that the old probe left", () => {
	const gateway = `http://127.0.0.1:${monitoring.pushgateway.port}`;
	const job = `${gateway}/metrics/job/registry-integrity-probe`;
	const instance = "registry.viktorbarzin.me:5050";
	const report = { defects: [], inconclusive: [], inaccessible: undefined, repositories: 2, tags: 2, indexes: 1 };

	it("are removed by the first push, which says so; the next one finds nothing in its way", async () => {
		for (const more of ["", `/instance/${instance}`, `/instance/${instance}/result/success`])
			await fetch(job + more, { method: "DELETE" });
		const old = `registry_manifest_integrity_failures{instance="${instance}"} 38\n`;
		expect((await fetch(job, { method: "PUT", body: old })).status).toBe(200);
		const measured = { report, start: Date.now(), end: Date.now(), requests: 1, bytes: 1 } as unknown as Parameters<
			typeof push
		>[2];
		expect(await push(gateway, instance, measured)).toBe(true);
		expect(await push(gateway, instance, measured)).toBe(false);
		const lines = (await (await fetch(`${gateway}/metrics`)).text()).split("\n");
		expect(lines.filter((line) => line.startsWith("registry_manifest_integrity_failures"))).toEqual([
			`registry_manifest_integrity_failures{instance="${instance}",job="registry-integrity-probe"} 0`,
		]);
	});
});
