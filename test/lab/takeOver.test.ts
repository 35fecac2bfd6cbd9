/** What an estate that was run by hand has, and what must not go on beside this program. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { askVm, drift, onVm, up } from "./lab.ts";

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
