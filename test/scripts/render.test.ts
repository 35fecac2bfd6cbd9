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
	for (const part of ["scripts", "components", "host", "oci", "config.ts", "package.json", "Pulumi.prod.yaml"]) {
		cpSync(part, join(folder, part), { recursive: true });
	}
	symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
	return folder;
}

const render = (folder: string, ...args: string[]) =>
	spawnSync(process.execPath, ["scripts/render.ts", ...args], { cwd: folder, encoding: "utf8" });

describe("npm run render", () => {
	it("writes every file of prod, with its mode and without any secret", () => {
		const folder = project();
		const { status, stdout } = render(folder, "prod", "out");
		expect(status).toBe(0);
		expect(stdout).toContain("26 files of registry, pve are in out");
		const root = join(folder, "out/registry/opt/registry");
		expect(readdirSync(root).sort()).toEqual(
			[
				...["config-dockerhub.yml", "config-ghcr.yml", "config-k8s.yml", "config-kyverno.yml", "config-private.yml"],
				...["config-quay.yml", "bounce.sh", "docker-compose.yml", "htpasswd", "nginx.conf", "tls", "upkeep.mjs"],
				...["cleanup-tags.sh", "fix-broken-blobs.sh", "garbage-collect.sh", "repair.sh"],
			].sort(),
		);
		expect(statSync(join(root, "htpasswd")).mode & 0o777).toBe(0o600);
		expect(readFileSync(join(root, "config-dockerhub.yml"), "utf8")).toContain("(secret dockerhubPassword)");
		const netplan = readFileSync(join(folder, "out/registry/etc/netplan/50-cloud-init.yaml"), "utf8");
		expect(parse(netplan).network.ethernets.eth0.nameservers.search).toEqual(["viktorbarzin.lan"]);
	});

	it("takes a number as `pulumi config set` writes it, as text", () => {
		const folder = project();
		const file = join(folder, "Pulumi.prod.yaml");
		writeFileSync(file, readFileSync(file, "utf8").replace("uiPort: 8080", 'uiPort: "8081"'));
		expect(render(folder, "prod", "out").status).toBe(0);
		expect(readFileSync(join(folder, "out/registry/opt/registry/docker-compose.yml"), "utf8")).toContain("8081:80");
	});

	it("writes the same thing twice", () => {
		const folder = project();
		render(folder, "prod", "one");
		render(folder, "prod", "two");
		expect(() => execFileSync("diff", ["-r", join(folder, "one"), join(folder, "two")])).not.toThrow();
	});

	it.each([
		["an unknown stack", "nowhere", (text: string) => text, "there is no stack nowhere"],
		[
			"a port used twice",
			"prod",
			(text: string) => text.replace("port: 5020", "port: 5010"),
			"port 5010 is already used",
		],
		["a key misspelt", "prod", (text: string) => text.replace(":uiPort", ":uiProt"), "uiProt: unknown key"],
	])("refuses %s, and writes nothing", (_, stack, change, message) => {
		const folder = project();
		const file = join(folder, "Pulumi.prod.yaml");
		writeFileSync(file, change(readFileSync(file, "utf8")));
		const { status, stderr } = render(folder, stack, "out");
		expect(status).toBe(1);
		expect(stderr).toContain(message);
		expect(readdirSync(folder)).not.toContain("out");
	});
});
