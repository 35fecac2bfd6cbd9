import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

const folders: string[] = [];
afterEach(() => {
	for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function project(): string {
	const folder = mkdtempSync(join(tmpdir(), "render-test-"));
	folders.push(folder);
	for (const part of ["scripts", "components", "host", "oci", "woodpecker", "config.ts", "package.json"]) {
		cpSync(part, join(folder, part), { recursive: true });
	}
	cpSync("test/fixtures/Pulumi.example.yaml", join(folder, "Pulumi.example.yaml"));
	symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
	return folder;
}

const render = (folder: string, ...args: string[]) =>
	spawnSync(process.execPath, ["scripts/render.ts", ...args], { cwd: folder, encoding: "utf8" });

describe("npm run render", () => {
	it("takes the estate's own stack file", () => {
		const folder = project();
		cpSync("Pulumi.prod.yaml", join(folder, "Pulumi.prod.yaml"));
		const { status, stderr } = render(folder, "prod", "out");
		expect(status, stderr).toBe(0);
	});

	it("writes every file of every host, with its mode and without any secret", () => {
		const folder = project();
		const { status, stdout } = render(folder, "example", "out");
		expect(status).toBe(0);
		expect(stdout).toMatch(/^\d\d files of depot, hypervisor, kubernetes are in out$/m);
		const root = join(folder, "out/depot/opt/registry");
		expect(readdirSync(root).sort()).toEqual(
			[
				...["config-hub.yml", "config-alpha.yml", "config-beta.yml", "config-own.yml", "docker-compose.yml"],
				...["bounce.sh", "bounce.env", "htpasswd", "nginx.conf", "tls", "upkeep.mjs", "upkeep.sh", "upkeep.env"],
				...["cleanup-tags.sh", "fix-broken-blobs.sh", "garbage-collect.sh", "repair.sh"],
			].sort(),
		);
		expect(statSync(join(root, "htpasswd")).mode & 0o777).toBe(0o600);
		expect(readFileSync(join(root, "config-hub.yml"), "utf8")).toContain("(secret dockerhubPassword)");
		const netplan = readFileSync(join(folder, "out/depot/etc/netplan/50-cloud-init.yaml"), "utf8");
		expect(parse(netplan).network.ethernets.ens3.nameservers.search).toEqual(["example.test"]);
		expect(readdirSync(join(folder, "out"))).not.toContain("storage"); // It is deferred.
	});

	it("writes every Kubernetes object", () => {
		const folder = project();
		render(folder, "example", "out");
		const objects = Object.fromEntries(
			readdirSync(join(folder, "out/kubernetes")).map((name) => [
				name.replace(".yaml", ""),
				parse(readFileSync(join(folder, "out/kubernetes", name), "utf8")),
			]),
		);
		expect(Object.keys(objects).sort()).toEqual([
			"ConfigMap-drift-detection-dashboard",
			"ConfigMap-registry-integrity-dashboard",
			"ConfigMap-registry-integrity-probe",
			"CronJob-registry-integrity-probe",
			"PrometheusRule-drift-detection",
			"PrometheusRule-registry-integrity",
			"Secret-registry-integrity-probe",
		]);
		for (const object of Object.values(objects)) expect(object.metadata.namespace).toBe("watch");
		const { data } = objects["Secret-registry-integrity-probe"];
		expect(Buffer.from(data.REGISTRY_PASSWORD, "base64").toString()).toBe("(secret registryPassword)");
		const [container] = objects["CronJob-registry-integrity-probe"].spec.jobTemplate.spec.template.spec.containers;
		// A sidecar would keep the probe's Job from ending.
		const { metadata } = objects["CronJob-registry-integrity-probe"].spec.jobTemplate.spec.template;
		for (const given of [metadata.labels, metadata.annotations])
			expect(given).toMatchObject({ "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled" });
		expect(container.env).toContainEqual({ name: "REGISTRY_URL", value: "https://registry.example.test:7050" });
	});

	it("takes what is no text as `pulumi config set` writes it, as text", () => {
		const folder = project();
		const file = join(folder, "Pulumi.example.yaml");
		writeFileSync(
			file,
			readFileSync(file, "utf8").replace(":dnsNames:", ':protect: "true"\n  homelab-registry:dnsNames:'),
		);
		const { status, stderr } = render(folder, "example", "out");
		expect(status, stderr).toBe(0);
	});

	it("writes the same thing twice", () => {
		const folder = project();
		render(folder, "example", "one");
		render(folder, "example", "two");
		expect(() => execFileSync("diff", ["-r", join(folder, "one"), join(folder, "two")])).not.toThrow();
	});

	it.each([
		["an unknown stack", "nowhere", (text: string) => text, "there is no stack nowhere"],
		[
			"a port used twice",
			"example",
			(text: string) => text.replace("port: 7020", "port: 7010"),
			"port 7010 is already used",
		],
		["a key misspelt", "example", (text: string) => text.replace(":images", ":imagse"), "imagse: unknown key"],
	])("refuses %s, and writes nothing", (_, stack, change, message) => {
		const folder = project();
		const file = join(folder, "Pulumi.example.yaml");
		writeFileSync(file, change(readFileSync(file, "utf8")));
		const { status, stderr } = render(folder, stack, "out");
		expect(status).toBe(1);
		expect(stderr).toContain(message);
		expect(readdirSync(folder)).not.toContain("out");
	});
});
