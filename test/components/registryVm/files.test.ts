import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { RegistryRole } from "../../../components/registryVm/args.ts";
import { registryVmFiles } from "../../../components/registryVm/files.ts";
import type { TlsPair } from "../../../components/registryVm/tlsPair.ts";
import { parseConfig } from "../../../config.ts";
import type { RenderedFiles } from "../../../host/managedFile.ts";
import { exampleValues } from "../../fixtures/estate.ts";

const render = (change: (values: ReturnType<typeof exampleValues>) => void = () => {}) => {
	const values = exampleValues();
	change(values);
	const { hosts, images, secrets, tls } = parseConfig("test", values);
	const all = { ...secrets, ...(tls as TlsPair) };
	return registryVmFiles({ role: hosts[0]?.registry as RegistryRole, images, canary: "canary" }, all);
};
const standard = await render();
const content = (path: string, files = standard): string => {
	const file = files[path];
	if (file === undefined) throw new Error(`no file ${path}`);
	return file.content;
};
const compose = (files = standard) => parse(content("/opt/registry/docker-compose.yml", files));
const registryConfig = (name: string, files = standard) => parse(content(`/opt/registry/config-${name}.yml`, files));
const digests = (files: RenderedFiles): Record<string, string | undefined> =>
	Object.fromEntries(
		Object.entries(compose(files).services).map(([name, service]) => [
			name,
			(service as { labels?: Record<string, string> }).labels?.["config.digest"],
		]),
	);

const names = ["hub", "alpha", "beta", "own"];

describe("a registry VM", () => {
	it("runs its registries in lockstep, each with its own data and config", () => {
		const { services, networks } = compose();
		for (const name of names) {
			expect(services[`registry-${name}`]).toMatchObject({
				image: "registry:2.8.3",
				container_name: `registry-${name}`,
				restart: "always",
				environment: { GOGC: "400", GOMEMLIMIT: "256MiB" },
				volumes: expect.arrayContaining([
					`/opt/registry/data/${name}:/var/lib/registry`,
					expect.objectContaining({
						source: `/opt/registry/config-${name}.yml`,
						target: "/etc/docker/registry/config.yml",
						read_only: true,
					}),
				]),
			});
			expect(JSON.stringify(services[`registry-${name}`].healthcheck.test)).toContain("http://127.0.0.1:5000/v2/");
		}
		expect(networks.registry).toMatchObject({ name: "registry", driver: "bridge" });
		expect(services.nginx).toMatchObject({ container_name: "registry-nginx", restart: "always" });
		expect(services["registry-ui"]).toMatchObject({ container_name: "registry-ui", ports: ["7080:80"] });
		expect(services["registry-hub"].ports).toBeUndefined(); // Its debug server is nobody's business.
	});

	it("asks nginx itself whether it is well", () => {
		const { test } = compose().services.nginx.healthcheck;
		expect(test[0]).toBe("CMD-SHELL");
		expect(test[1]).toMatch(
			/^wget .* http:\/\/127\.0\.0\.1:\d+\/healthz \|\| curl .* http:\/\/127\.0\.0\.1:\d+\/healthz$/,
		);
	});

	it("starts nginx after all of them are healthy", () => {
		const healthy = { condition: "service_healthy" };
		const dependsOn = Object.fromEntries(names.map((name) => [`registry-${name}`, healthy]));
		expect(compose().services.nginx.depends_on).toEqual(dependsOn);
	});

	it("serves every published port: none has nothing behind it", () => {
		const published = compose().services.nginx.ports.map((port: string) => port.split(":")[0]);
		const listening = [...content("/opt/registry/nginx.conf").matchAll(/listen (\d+)/g)].map(([, port]) => port);
		expect(published.sort()).toEqual(["7000", "7001", "7010", "7020", "7050"]);
		expect(listening.sort()).toEqual(published);
	});

	it("gives each service an address of its own, and nginx those same addresses", () => {
		const { services } = compose();
		const addresses = Object.values(services).map((service) => {
			return (service as { networks: { registry: { ipv4_address: string } } }).networks.registry.ipv4_address;
		});
		expect(new Set(addresses).size).toBe(6);
		for (const name of names) {
			const address = services[`registry-${name}`].networks.registry.ipv4_address;
			expect(content("/opt/registry/nginx.conf")).toMatch(
				new RegExp(`upstream registry-${name} \\{\\s+server ${address}:5000;`),
			);
		}
	});

	it.each([
		["hub", "https://hub.example.com"],
		["alpha", "https://alpha.example.com"],
		["beta", "https://beta.example.com"],
	])("%s caches %s", (name, remoteurl) => {
		const config = registryConfig(name);
		expect(config.proxy).toMatchObject({ remoteurl, ttl: 0 });
		expect(config.http.draintimeout).toBe("60s");
		expect(config.storage.maintenance.uploadpurging).toMatchObject({ age: "24h", interval: "4h" });
	});

	it("asks only the authenticated upstream with an account, and has its metrics on the port that is published", () => {
		const config = registryConfig("hub");
		expect(config.proxy).toMatchObject({ username: "hub-account", password: "hub-password-material" });
		expect(config.http.debug).toEqual({ addr: ":5001", prometheus: { enabled: true, path: "/metrics" } });
		for (const name of names.slice(1)) expect(content(`/opt/registry/config-${name}.yml`)).not.toMatch(/hub-|debug/);
	});

	it("runs the private registry with passwords, deletes, and without the blind descriptor cache", () => {
		const config = registryConfig("own");
		expect(config.auth.htpasswd).toEqual({ realm: "Registry Realm", path: "/auth/htpasswd" });
		expect(config.storage.delete).toEqual({ enabled: true });
		expect(config.storage.filesystem.maxsize).toBe("20GiB");
		expect(config.storage.cache).toBeUndefined();
		expect(config.proxy).toBeUndefined();
		expect(config.storage.maintenance.uploadpurging).toMatchObject({ age: "168h", interval: "4h" });
	});

	it("caches blobs for 24 h in 50 GB, and nothing of the private registry", () => {
		const conf = content("/opt/registry/nginx.conf");
		expect(conf).toMatch(/proxy_cache_path .*max_size=50g inactive=24h/);
		expect(conf.match(/proxy_cache blobs;/g)).toHaveLength(3);
		const privateServer = conf.slice(conf.indexOf("listen 7050"));
		expect(privateServer).toContain("ssl_protocols TLSv1.2 TLSv1.3;");
		expect(privateServer).toContain("server_name registry.example.test;");
		expect(privateServer).not.toContain("proxy_cache");
	});
});

it("each night, the disk is scanned at rest, also for what was cut off", () => {
	const scans = content("/etc/cron.d/registry").match(/fix-broken-blobs\.sh --gently --truncated --metrics /g);
	expect(scans).toHaveLength(2); // On the days of the week with a collection and without one.
});

describe("logs of containers", () => {
	it("are bounded, of every one of them", () => {
		for (const service of Object.values(compose().services))
			expect(service).toMatchObject({
				logging: { driver: "json-file", options: { "max-size": "20m", "max-file": "3" } },
			});
	});
});

describe("secrets", () => {
	it("are only in files that are marked and that only root can read", () => {
		const files = standard;
		const material = /hub-password-material|registry-password-material|tls-key-material|ssh-key-material/;
		const holders = Object.keys(files).filter((path) => material.test(content(path, files)));
		expect(holders).toEqual(["/opt/registry/config-hub.yml", "/opt/registry/tls/privkey.pem"]);
		for (const path of [...holders, "/opt/registry/htpasswd"]) {
			expect(files[path]).toMatchObject({ secret: true, mode: "0600", owner: "root:root" });
		}
	});
});

describe("who is recreated", () => {
	const before = digests(standard);
	const changed = (files: RenderedFiles) => {
		const after = digests(files);
		return Object.keys(before).filter((name) => before[name] !== after[name]);
	};

	it("nobody, when nothing changed", async () => {
		expect(changed(await render())).toEqual([]);
	});

	it("the one cache whose upstream changed", async () => {
		expect(
			changed(
				await render((v) =>
					Object.assign(v.hosts.depot.registry.caches[2] ?? {}, { upstream: "https://other.example" }),
				),
			),
		).toEqual(["registry-beta"]);
	});

	it("the private registry, when its password changed", async () => {
		expect(changed(await render((v) => Object.assign(v, { registryPassword: "another-password" })))).toEqual([
			"registry-own",
		]);
	});

	it("the cache with the account, when the account's password changed", async () => {
		expect(changed(await render((v) => Object.assign(v, { dockerhubPassword: "another-password" })))).toEqual([
			"registry-hub",
		]);
	});
});

it("the UI has the settings of the config, which win over the program's own", async () => {
	const files = await render((values) => {
		values.hosts.depot.registry.uiSettings = { REGISTRY_TITLE: "home", DELETE_IMAGES: "true" };
	});
	expect(compose(files).services["registry-ui"].environment).toMatchObject({
		...{ REGISTRY_TITLE: "home", DELETE_IMAGES: "true", SINGLE_REGISTRY: "true" },
	});
});

describe("a VM with caches only", async () => {
	const files = await render((values) => {
		delete values.hosts.depot.registry.private;
		for (const key of ["registryUser", "registryPassword", "tlsCertificate", "tlsPrivateKey"])
			Reflect.deleteProperty(values, key);
	});

	it("has no private registry, no password file, no certificate, and nothing that mounts or serves them", () => {
		expect(Object.keys(files).filter((path) => /htpasswd|tls|private/.test(path))).toEqual([]);
		expect(Object.keys(compose(files).services)).not.toContain("registry-own");
		expect(JSON.stringify(compose(files))).not.toContain("tls");
		expect(content("/opt/registry/nginx.conf", files)).not.toContain("ssl");
		expect(content("/etc/cron.d/registry", files)).not.toContain("garbage-collect.sh own");
	});

	it("has the caches as they were, at the same addresses", () => {
		for (const name of ["hub", "alpha", "beta"])
			expect(compose(files).services[`registry-${name}`]).toEqual(compose().services[`registry-${name}`]);
	});
});
