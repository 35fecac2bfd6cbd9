/** A private registry that leaves the config: the caches go on, its data stays, and nothing is left that asks for it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { caches, privateRegistry, published, STACK } from "../../lab/estate.ts";
import { begin, containers, leave, onVm, pulumi, registryConfig, run, up, type Variant, variant } from "./lab.ts";

const DATA = "find /opt/registry/data/private -type f -exec sha256sum {} + | sort";
let changed: Variant;
let data: string;
beforeAll(async () => {
	await begin();
	data = await onVm(DATA);
	changed = await variant();
	await changed.configure((config) => {
		Reflect.deleteProperty(registryConfig(config), "private");
		for (const key of ["registryUser", "registryPassword", "tlsCertificate", "tlsPrivateKey", "registryCa"])
			Reflect.deleteProperty(config, `homelab-registry:${key}`);
	});
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await leave();
});

it("is told of in the preview, with what becomes of its data", async () => {
	const { exitCode, output } = await pulumi(["preview", "--stack", STACK], changed.folder);
	expect(exitCode, output).toBe(0);
	expect(output).toContain(
		"/opt/registry/config-private.yml goes: registry-private is removed, then nginx is restarted; its data stays in /opt/registry/data/private",
	);
});

it("is gone after the update, and its port, password and certificate with it; its data is as it was", async () => {
	const before = await containers();
	const { exitCode, output } = await changed.up();
	expect(exitCode, output).toBe(0);
	const after = await containers();
	expect(Object.keys(after)).not.toContain("registry-private");
	for (const { name } of caches) expect(after[`registry-${name}`]).toEqual(before[`registry-${name}`]);
	expect(data).not.toBe("");
	expect(await onVm(DATA)).toBe(data);
	expect(await onVm("ls /opt/registry | grep -e htpasswd -e private || true; ls /opt/registry/tls")).toBe("");
	const { stdout } = await run("curl", [
		"-sk",
		"-o",
		"/dev/null",
		"-w",
		"%{http_code}",
		`https://localhost:${published(privateRegistry.port)}/v2/`,
	]);
	expect(stdout).toBe("000");
});

it("leaves caches that can be pulled from, an upkeep that works, and nothing to do", async () => {
	for (const { port, upstream } of caches) {
		const image = `localhost:${published(port)}/${upstream.repository}:1`;
		const { exitCode, output } = await run("crane", ["validate", "--remote", image]);
		expect(exitCode, output).toBe(0);
	}
	await onVm("/opt/registry/fix-broken-blobs.sh");
	await onVm("/opt/registry/cleanup-tags.sh --keep 10");
	expect(await onVm("/opt/registry/garbage-collect.sh quay")).toContain("quay: removed");
	expect((await changed.up()).output).toMatch(/Resources:\n +\d+ unchanged\n/);
});

it("that comes back has its images again", async () => {
	await up();
	expect(await onVm(DATA)).toBe(data);
	await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
});
