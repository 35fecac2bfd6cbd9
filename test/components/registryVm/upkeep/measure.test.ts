/** What is measured on the VM, with debug servers that answer as registry 2.8.3's, or as what may stand in their place. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { measure } from "../../../../components/registryVm/upkeep/measure.ts";
import { serve } from "../../../httpServer.ts";

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "measure-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

const file = () => join(folder, "metrics", "vm.prom");
const scan = () => join(folder, "scan.prom");

async function saying(status: number, body: string): Promise<string> {
	return (await serve((_, response) => response.writeHead(status).end(body))).url;
}

/** As a registry 2.8.3 that fetched two of three manifests says it. */
const vars = JSON.stringify({
	cmdline: ["/bin/registry"],
	registry: {
		proxy: {
			blobs: { Requests: 16, Hits: 16, Misses: 0, BytesPulled: 0, BytesPushed: 134373410 },
			manifests: { Requests: 3, Hits: 3, Misses: 2, BytesPulled: 3640, BytesPushed: 5502 },
		},
	},
});

/** The values, by name and labels. */
async function values(): Promise<Record<string, number>> {
	const lines = (await readFile(file(), "utf8")).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
	return Object.fromEntries(lines.map((line) => line.split(" ")).map(([name, value]) => [name, Number(value)]));
}

it("has the disk's size and rest as df has them, the caches' counters, and what the last scan found", async () => {
	await writeFile(scan(), "# TYPE registry_scan_last_run_timestamp gauge\nregistry_scan_last_run_timestamp 5\n");
	const caches = { hub: await saying(200, vars) };
	expect(await measure(file(), { data: folder, scan: scan(), caches }, 1_700_000_000_500)).toEqual([]);
	const df = execFileSync("df", ["--output=size,itotal", "--block-size=1", folder], { encoding: "utf8" });
	const [size, files] = (df.trim().split("\n")[1] as string).trim().split(/\s+/).map(Number);
	const found = await values();
	expect(found).toMatchObject({
		registry_vm_disk_size_bytes: size,
		'registry_cache_manifest_requests_total{registry="hub"}': 3,
		'registry_cache_manifest_misses_total{registry="hub"}': 2,
		registry_vm_measured_timestamp: 1_700_000_000.5,
		registry_scan_last_run_timestamp: 5,
	});
	expect(found["registry_vm_disk_files"]).toBe(files === 0 ? undefined : files);
	expect(found["registry_vm_disk_available_bytes"]).toBeLessThan(size as number);
	expect(await readdir(join(folder, "metrics"))).toEqual(["vm.prom"]);
	await rm(scan());
});

it.each([
	["is down", 503, "", "it answers 503"],
	["is another server", 200, "<html>", "is not valid JSON"],
	["is a registry, and no cache", 200, '{"registry":{}}', "it is no registry that works as a cache"],
])("a cache that %s is named, and the rest is measured", async (_, status, body, problem) => {
	const caches = { broken: await saying(status, body), hub: await saying(200, vars) };
	const problems = await measure(file(), { data: folder, scan: scan(), caches }, 0);
	expect(problems).toEqual([expect.stringMatching(/^what broken has saved is not known: http:/)]);
	expect(problems[0]).toContain(problem);
	const found = Object.keys(await values());
	expect(found).toContain('registry_cache_manifest_misses_total{registry="hub"}');
	expect(found.filter((name) => name.includes("broken") || name.includes("scan"))).toEqual([]);
});

it("a cache that nobody answers for is named with the reason", async () => {
	const { url, close } = await serve(() => {});
	await close();
	const [problem] = await measure(file(), { data: folder, scan: scan(), caches: { gone: url } }, 0);
	expect(problem).toMatch(/gone has saved is not known: .*ECONNREFUSED/);
});

it("a disk that can't be measured leaves the former file, which then is too old", async () => {
	await measure(file(), { data: folder, scan: scan(), caches: {} }, 1000);
	const gone = join(folder, "gone");
	await expect(measure(file(), { data: gone, scan: scan(), caches: {} }, 2000)).rejects.toThrow("ENOENT");
	expect((await values())["registry_vm_measured_timestamp"]).toBe(1);
});

it("the file is everybody's to read, also where root's umask is 077", async () => {
	const own = join(folder, "another", "vm.prom");
	const before = process.umask(0o077);
	try {
		await measure(own, { data: folder, scan: scan(), caches: {} }, 0);
	} finally {
		process.umask(before);
	}
	expect((await stat(own)).mode & 0o777).toBe(0o644);
	expect((await stat(join(folder, "another"))).mode & 0o777).toBe(0o755);
});
