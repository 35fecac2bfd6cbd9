/** Who is restarted when one thing changes: docs/bounces.md, row by row. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SILENCE } from "../../components/registryVm/bounce.ts";
import { caches, privateRegistry, published, STACK } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { watchPorts } from "../../scripts/portSilence.ts";
import {
	begin,
	checkout,
	containers,
	leave,
	onVm,
	pulumi,
	registryConfig,
	run,
	up,
	type Variant,
	variant,
} from "./lab.ts";

let changed: Variant;
beforeAll(async () => {
	await begin();
	changed = await variant();
	await onVm("docker tag registry:2.8.3 registry:2.8.3-again");
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await leave();
	await onVm("docker rmi registry:2.8.3-again");
});

const set = (key: string, value: unknown) => () =>
	changed.configure((config) => Object.assign(config, { [`homelab-registry:${key}`]: value }));
const inside = (key: string, change: object) => () =>
	changed.configure((config) => Object.assign(config[`homelab-registry:${key}`] as object, change));
const inRole = (change: object) => () => changed.configure((config) => Object.assign(registryConfig(config), change));
const inPrivate = (change: object) => () =>
	changed.configure((config) => Object.assign(registryConfig(config).private, change));
const cacheUpstream = (position: number, name: string) => () =>
	changed.configure((config) => {
		Object.assign(registryConfig(config).caches[position] as object, { upstream: `http://${name}.upstream.lab:5000/` });
	});

/** A second certificate for the same key. */
async function renewCertificate() {
	const script = `openssl req -new -key registry.key -subj /CN=renewed -out /tmp/renewed.csr &&
openssl x509 -req -in /tmp/renewed.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile registry.ext && cat ca.pem`;
	const { stdout } = await run("sh", ["-c", script], { cwd: paths.keys });
	await set("tlsCertificate", stdout.slice(stdout.indexOf("-----BEGIN")))();
}

const NGINX = "registry-nginx";
/** As clients reach them, by the containers behind nginx. */
const ports = [...caches, privateRegistry].map(({ name, port }) => ({
	name: `registry-${name}`,
	url: `${name === privateRegistry.name ? "https" : "http"}://localhost:${published(port)}`,
}));
const six = ["dockerhub", "ghcr", "k8s", "kyverno", "private", "quay"].map((name) => `registry-${name}`);

describe("who reacts to", () => {
	it.each([
		["docker-compose.yml (the UI's port)", inRole({ uiPort: 8081 }), ["registry-ui"], [NGINX]],
		["config-ghcr.yml", cacheUpstream(1, "ghcr"), ["registry-ghcr"], [NGINX]],
		[
			"the configs of the other caches",
			async () => {
				for (const [position, name] of ["quay", "k8s", "kyverno"].entries()) await cacheUpstream(2 + position, name)();
			},
			["registry-k8s", "registry-kyverno", "registry-quay"],
			[NGINX],
		],
		["config-dockerhub.yml (its account)", set("dockerhubUsername", "another"), ["registry-dockerhub"], [NGINX]],
		["config-private.yml", inPrivate({ maxSize: "90GiB" }), ["registry-private"], [NGINX]],
		["htpasswd (the user)", set("registryUser", "renamed"), ["registry-private"], [NGINX]],
		[
			"nginx.conf",
			() => changed.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # changed"),
			[],
			[NGINX],
		],
		["the certificate", renewCertificate, [], [NGINX]],
		[
			"bounce.sh, the upkeep's program, the crontab and the unit",
			async () => {
				const part = "components/registryVm";
				await changed.edit(`${part}/sh/bounce.sh`, "# Managed by Pulumi:", "# Managed by Pulumi, as ever:");
				await changed.edit(`${part}/upkeep/main.ts`, "would remove", "would take away");
				await changed.edit(`${part}/upkeepFiles.ts`, "--keep 10", "--keep 11");
				await changed.edit(`${part}/unit.ts`, "Container registries", "Registries");
			},
			[],
			[],
		],
		["the registry's image", inside("images", { registry: "registry:2.8.3-again" }), six, [NGINX]],
		["the network", inRole({ subnet: "172.28.51.0/24" }), [...six, NGINX, "registry-ui"].sort(), []],
	] satisfies [string, () => Promise<void>, string[], string[]][])("%s", async (_, change, recreated, restarted) => {
		await change();
		const before = await containers();
		const stop = await watchPorts(ports);
		const { exitCode, output } = await changed.up();
		const silences = await stop();
		expect(output).not.toContain("error:");
		expect(exitCode).toBe(0);
		const after = await containers();
		const names = Object.keys(after).sort();
		expect(names.filter((name) => after[name]?.id !== before[name]?.id)).toEqual(recreated);
		expect(
			names.filter(
				(name) => after[name]?.id === before[name]?.id && after[name]?.startedAt !== before[name]?.startedAt,
			),
		).toEqual(restarted);
		expect(silences.size).toBe(ports.length);
		for (const [name, silence] of silences) {
			const longest =
				recreated.length >= six.length ? SILENCE.all : recreated.includes(name) ? SILENCE.registry : SILENCE.nginx;
			const isSilent = recreated.length + restarted.length > 0;
			expect(silence / 1000, `${name} was silent`).toBeLessThanOrEqual(isSilent ? longest : 0);
		}
	});

	it("for how long each is silent is what docs/bounces.md says", async () => {
		const text = await readFile(join(checkout, "docs/bounces.md"), "utf8");
		const said = [...text.matchAll(/^\| .* \| (?:its|every) port \| (\d+) \|$/gm)].map(([, seconds]) =>
			Number(seconds),
		);
		expect(said).toEqual(Object.values(SILENCE));
	});

	it("what was changed above is what now runs", async () => {
		expect(await onVm("docker exec registry-private cat /etc/docker/registry/config.yml")).toContain("maxsize: 90GiB");
		expect(await onVm("docker exec registry-ghcr cat /etc/docker/registry/config.yml")).toContain(
			"ghcr.upstream.lab:5000/\n",
		);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain("server_tokens off; # changed");
		expect(await onVm("systemctl show -p Description docker-compose-registry.service")).toContain(
			"Description=Registries",
		);
		const address = `localhost:${published(privateRegistry.port)}`;
		const { stdout } = await run("sh", [
			"-c",
			`openssl s_client -connect ${address} </dev/null 2>/dev/null | openssl x509 -noout -subject`,
		]);
		expect(stdout).toContain("renewed");
		const password = await readFile(join(paths.keys, "registry-password"), "utf8");
		const status = await run("curl", [
			...["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", join(paths.keys, "ca.pem")],
			...["--user", `renamed:${password}`, `https://${address}/v2/`],
		]);
		expect(status.stdout).toBe("200");
	});
});

describe("the preview", () => {
	it("says in words who will be restarted, and why", async () => {
		await up();
		await using other = await variant();
		await other.configure((config) => Object.assign(config, { "homelab-registry:dockerhubUsername": "another" }));
		await other.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # words");
		await onVm("docker stop registry-quay");
		const { output } = await pulumi(["preview", "--stack", STACK], other.folder);
		await onVm("docker start registry-quay");
		expect(output).toContain(
			"/opt/registry/config-dockerhub.yml differs: registry-dockerhub is recreated, then nginx is restarted",
		);
		expect(output).toContain("/opt/registry/nginx.conf differs: nginx is restarted");
		expect(output).toContain(
			"containers not as declared (found: registry-quay registry:2.8.3 exited; missing: registry-quay registry:2.8.3 running): compose puts right the containers that differ",
		);
	});
});

describe("bounce.sh compose", () => {
	it("is done when all answer, although Docker itself asks only seconds later whether they do", async () => {
		await onVm("docker rm --force registry-ghcr");
		expect(await onVm("sh /opt/registry/bounce.sh compose")).toBe("recreated registry-ghcr");
		expect(await onVm("docker inspect --format '{{.State.Health.Status}}' registry-ghcr")).toBe("starting");
		await onVm("docker exec registry-ghcr wget -q -O /dev/null http://127.0.0.1:5000/v2/");
	});
});

describe("the nginx DNS trap", () => {
	it("a registry that is recreated by hand is still reached, and nobody else in its place", async () => {
		// Two at once, and in the other order: with addresses handed out as they come, they would swap.
		await onVm(
			"cd /opt/registry && docker compose rm --force --stop registry-quay registry-ghcr && docker compose up --detach --wait registry-quay && docker compose up --detach --wait registry-ghcr",
		);
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
	});

	it("is seen by the verification where somebody else answers", async () => {
		await onVm(
			"sed -i 's/172.28.50.12:5000/172.28.50.11:5000/' /opt/registry/nginx.conf && docker restart registry-nginx",
		);
		const { exitCode, output } = await run("ssh", [
			"-F",
			process.env["LAB_SSH_CONFIG"] as string,
			"registry",
			"sh /opt/registry/bounce.sh try-verify </dev/null",
		]);
		expect(output).toMatch(/5020\/v2\/ should answer 200 as registry quay, but: .*X-Registry-Name: ghcr/);
		expect(exitCode).not.toBe(0);
	});
});
