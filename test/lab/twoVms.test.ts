/** Two registry VMs in one stack. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { registryVm, STACK } from "../../lab/estate.ts";
import { begin, containers, drift, hostConfig, leave, type Outcome, pulumi, up, type Variant, variant } from "./lab.ts";

let changed: Variant;
let preview: Outcome;
beforeAll(async () => {
	await begin();
	changed = await variant();
	await changed.configure((config) => {
		const { hostname } = registryVm;
		const [hosts, keys] = ["hosts", "sshPrivateKeys"].map(
			(key) => config[`homelab-registry:${key}`] as Record<string, unknown>,
		) as [Record<string, unknown>, Record<string, unknown>];
		const { dns: _, key: _k, ...annex } = hostConfig(config, hostname);
		hosts["annex"] = { ...annex, port: 1 }; // There is nobody.
		keys["annex"] = keys[hostname];
		// The engine sorts them by name, and annex was not there first.
		config["homelab-registry:firstRegistry"] = hostname;
	});
	preview = await pulumi(["preview", "--diff", "--stack", STACK], changed.folder);
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await leave();
});

it("are previewed: the second one is new, with a probe of its own, and the first one stays as it is", () => {
	expect(preview.exitCode, preview.output).toBe(0);
	for (const name of ["registry-annex", "registry-annex-compose-up", "registry-annex-verification"])
		expect(preview.output).toContain(`::${name}]`);
	expect(preview.output).toContain("registry-integrity-probe-annex");
	expect(preview.output).toMatch(/Resources:\n\s+\+ \d+ to create\n\s+\d+ unchanged/);
});

it("of a stack that has no state yet: what --target leaves out is left out, and nothing falls over it", async () => {
	const state = await mkdtemp(join(tmpdir(), "target-test-"));
	const environment = { PULUMI_BACKEND_URL: `file://${state}` };
	await using fresh = await variant();
	// The engine itself wants the parents of a provider among the targets; it says so.
	await fresh.configure((config) => Reflect.deleteProperty(config, "homelab-registry:monitoring"));
	try {
		await pulumi(["stack", "init", STACK], fresh.folder, environment);
		const args = ["preview", "--target", "**dns-pve**", "--stack", STACK];
		const { exitCode, output } = await pulumi(args, fresh.folder, environment);
		expect(exitCode, output).toBe(0);
		expect(output).toContain("dns-pve");
		expect(output).not.toContain("registry-docker-registry");
	} finally {
		await rm(state, { recursive: true });
	}
});

it("whose second machine is not there: the update fails by its name, and the first one is left alone", async () => {
	const before = await containers();
	const { exitCode, output } = await changed.up();
	expect(output).toMatch(/host 127\.0\.0\.1 \(port 1\) can't be reached/);
	expect(output).toContain("registry-annex");
	expect(exitCode).not.toBe(0);
	expect(await containers()).toEqual(before);
	await up();
	expect((await drift()).exitCode).toBe(0);
});
