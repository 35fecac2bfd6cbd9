/** Every file of a registry VM that is not the lab's, judged by the program that reads it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RegistryRole } from "../../components/registryVm/args.ts";
import { registryVmFiles } from "../../components/registryVm/files.ts";
import { parseConfig } from "../../config.ts";
import { tarball } from "../../host/tarball.ts";
import { vmImages } from "../../lab/machines.ts";
import { paths } from "../../lab/paths.ts";
import { exampleValues } from "../fixtures/estate.ts";
import { env, onVm, run } from "./lab.ts";

const ROOT = "/srv/prod";
const names = ["hub", "alpha", "beta", "own"];

beforeAll(async () => {
	const key = (name: string) => readFile(join(paths.keys, name), "utf8");
	const { hosts, images, secrets } = parseConfig("test", exampleValues());
	const pair = { tlsCertificate: await key("registry.pem"), tlsPrivateKey: await key("registry.key") };
	const entries = Object.entries(
		await registryVmFiles(
			{ role: hosts[0]?.registry as RegistryRole, images, canary: "canary" },
			{ ...secrets, ...pair },
		),
	).map(([path, { content, mode }]) => {
		return { name: `.${path}`, mode: Number.parseInt(mode, 8), content };
	});
	const args = ["-F", env("LAB_SSH_CONFIG"), "registry", `rm -rf ${ROOT} && mkdir ${ROOT} && tar -xf - -C ${ROOT}`];
	expect((await run("ssh", args, { input: await tarball(entries) })).exitCode).toBe(0);
});
afterAll(() => onVm(`rm -rf ${ROOT}`));

describe("is taken", () => {
	it("docker-compose.yml by docker compose, which sees the registries, nginx and the UI", async () => {
		const services = await onVm(`docker compose --file ${ROOT}/opt/registry/docker-compose.yml config --services`);
		expect(services.split("\n").sort()).toEqual(
			[...names.map((name) => `registry-${name}`), "nginx", "registry-ui"].sort(),
		);
	});

	it("nginx.conf by nginx", async () => {
		const said = await onVm(
			`docker run --rm --network none --volume ${ROOT}/opt/registry/nginx.conf:/etc/nginx/nginx.conf:ro --volume ${ROOT}/opt/registry/tls:/etc/nginx/tls:ro ${vmImages.nginx} nginx -t 2>&1`,
		);
		expect(said).toContain("test is successful");
	});

	// A cache asks its upstream before it serves, and the real ones are not to be asked from here; that a cache
	// serves with what is rendered, the lab's own show.
	it.each(names)("config-%s.yml by the registry", async (name) => {
		const store = "/run/prod-store";
		await onVm(
			`mkdir -p ${store}/docker/registry/v2/repositories ${store}/docker/registry/v2/blobs/sha256 && docker run --rm --network none --volume ${store}:/var/lib/registry --volume ${ROOT}/opt/registry/config-${name}.yml:/config.yml:ro ${vmImages.registry} garbage-collect --dry-run /config.yml; status=$?; rm -r ${store}; exit $status`,
		);
	});

	it("the unit by systemd, the logs' rotation by logrotate, the scripts by sh and Node.js", async () => {
		await onVm(`systemd-analyze verify ${ROOT}/etc/systemd/system/docker-compose-registry.service`);
		await onVm(`logrotate --debug ${ROOT}/etc/logrotate.d/registry`);
		await onVm(`for script in ${ROOT}/opt/registry/*.sh; do sh -n "$script" || exit 1; done`);
		await onVm(`node --check ${ROOT}/opt/registry/upkeep.mjs`);
	});

	it("config-own.yml and htpasswd by a registry that serves: the user's password opens, another doesn't", async () => {
		const container = "prod-htpasswd";
		await onVm(`docker rm --force --volumes ${container} 2>/dev/null || true`); // Of a run that was cut off.
		await onVm(
			`docker run --detach --name ${container} --volume ${ROOT}/opt/registry/config-own.yml:/etc/docker/registry/config.yml:ro --volume ${ROOT}/opt/registry/htpasswd:/auth/htpasswd:ro ${vmImages.registry}`,
		);
		const status = (password: string) =>
			onVm(
				`curl -s --retry 10 --retry-delay 1 --retry-all-errors -o /dev/null -w '%{http_code}' --user pusher:${password} http://$(docker inspect --format '{{.NetworkSettings.IPAddress}}' ${container}):5000/v2/`,
			);
		try {
			expect(await status("registry-password-material")).toBe("200");
			expect(await status("another")).toBe("401");
		} finally {
			await onVm(`docker rm --force --volumes ${container}`);
		}
	});
});
