import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { configKeys, fromText, parseConfig } from "../config.ts";
import { type ExampleValues, exampleValues, HOST_KEY } from "./fixtures/estate.ts";

const registry = (values: ExampleValues) => values.hosts.depot.registry;
const parseExample = (change: (values: ExampleValues) => void) => {
	const values = exampleValues();
	change(values);
	return () => parseConfig("test", values);
};

describe("parseConfig", () => {
	it("takes the example, and fills in the defaults", () => {
		const config = parseConfig("test", exampleValues());
		expect(config.hosts.map(({ name }) => name)).toEqual(["depot", "hypervisor"]);
		expect(config.hosts[0]?.connection).toMatchObject({
			host: "192.0.2.10",
			port: 22,
			user: "root",
			hostKey: HOST_KEY,
		});
		expect(config.hosts[0]?.registry?.caches[1]).toMatchObject({ name: "alpha", authenticated: false });
	});

	it("gives each host the login key that is its own", () => {
		const keys = parseConfig("test", exampleValues()).hosts.map(({ connection }) => connection.privateKey);
		expect(keys[0]).toContain("ssh-key-material of depot");
		expect(keys[1]).toContain("ssh-key-material of hypervisor");
	});

	it("needs neither host key nor login key of a host that is deferred, and takes the date as Pulumi writes it back", () => {
		const values = exampleValues();
		Object.assign(values.hosts.storage, { deferred: "2026-04-19 00:00:00 +0000 UTC" });
		expect(parseConfig("test", values).deferred).toEqual([
			{ name: "storage", address: "192.0.2.30", port: 22, since: "2026-04-19" },
		]);
	});

	it("takes a second registry VM", () => {
		const values = exampleValues();
		const second = { ...structuredClone(values.hosts.depot), address: "192.0.2.11" };
		Object.assign(values.hosts, { annex: second });
		Object.assign(values.sshPrivateKeys, { annex: values.sshPrivateKeys["depot"] });
		expect(() => parseConfig("test", values)).toThrow(
			/firstRegistry: missing; set it with "pulumi config set --stack test firstRegistry", to one of depot, annex: the one that was there first/,
		);
		values["firstRegistry"] = "hypervisor";
		expect(() => parseConfig("test", values)).toThrow(/firstRegistry: hypervisor is no host with the role registry/);
		values["firstRegistry"] = "depot";
		const registries = parseConfig("test", values).hosts.filter(({ registry }) => registry);
		expect(registries.map(({ name }) => name)).toEqual(["depot", "annex"]);
	});

	it.each([
		"registryHost",
		"registryHostKey",
		"sshPrivateKey",
		"uiPort",
		"subnet",
		"caches",
		"privateRegistry",
		"dns",
		"kubeconfig",
	])("names %s as a key of an earlier release, and where its value is now", (key) => {
		expect(parseExample((values) => Object.assign(values, { [key]: {} }))).toThrow(
			new RegExp(`- ${key}: is now (hosts\\.<name>|sshPrivateKeys\\.<name>|the environment's).*; see CHANGELOG\\.md`),
		);
	});

	it("names a secret that is not encrypted, of which Pulumi itself lets pass what has a default", () => {
		expect(() => parseConfig("test", exampleValues(), (key) => key !== "tlsPrivateKey")).toThrow(
			/tlsPrivateKey: is not encrypted in the stack's file; set it again with "pulumi config set --secret tlsPrivateKey"/,
		);
	});

	it.each([
		["an unknown key", (v) => Object.assign(v, { registryHots: 1 }), "registryHots: unknown key"],
		[
			"an unknown nested key",
			(v) => Object.assign(registry(v).caches[1] ?? {}, { prot: 1 }),
			"hosts.depot.registry.caches[1].prot: unknown key",
		],
		[
			"a missing key",
			(v) => Reflect.deleteProperty(v, "registryUser"),
			'registryUser: missing; set it with "pulumi config set --stack test registryUser"',
		],
		[
			"a missing secret",
			(v) => Reflect.deleteProperty(v, "registryPassword"),
			'registryPassword: missing; set it with "pulumi config set --stack test --secret registryPassword"',
		],
		[
			"a missing certificate",
			(v) => Reflect.deleteProperty(v, "tlsCertificate"),
			'tlsCertificate: missing; set it with "pulumi config set --stack test tlsCertificate"',
		],
		[
			"two certificates",
			(v) => Object.assign(v, { tlsFrom: { vault: { path: "tls" } } }),
			"tlsPrivateKey: is read from tlsFrom; take one of the two out",
		],
		[
			"a source of the certificate that is none",
			(v) => Object.assign(v, { tlsFrom: { vault: {} } }),
			"tlsFrom.vault.path: missing",
		],
		[
			"a missing nested key",
			(v) => Reflect.deleteProperty(v.hosts.depot, "address"),
			'hosts.depot.address: missing; set it with "pulumi config set --stack test --path hosts.depot.address"',
		],
		[
			"a host without its host key",
			(v) => Reflect.deleteProperty(v.hosts.hypervisor, "hostKey"),
			'hosts.hypervisor.hostKey: missing; set it with "pulumi config set --stack test --path hosts.hypervisor.hostKey"',
		],
		[
			"a host without its login key",
			(v) => Reflect.deleteProperty(v.sshPrivateKeys, "hypervisor"),
			'sshPrivateKeys.hypervisor: missing; set it with "pulumi config set --stack test --secret --path sshPrivateKeys.hypervisor"',
		],
		[
			"a login key of nobody",
			(v) => Object.assign(v.sshPrivateKeys, { other: v.sshPrivateKeys["depot"] }),
			"sshPrivateKeys.other: there is no such host in hosts",
		],
		[
			"a host without a role",
			(v) => Reflect.deleteProperty(v.hosts.hypervisor, "dns"),
			"hosts.hypervisor: has no role",
		],
		[
			"a host that is declared twice",
			(v) => Object.assign(v.hosts.hypervisor, { address: "192.0.2.10" }),
			"hosts.hypervisor: is at the same address and port as depot",
		],
		[
			"an RSA host key, which only one of the two SSH clients takes",
			(v) => Object.assign(v.hosts.depot, { hostKey: "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ==" }),
			"hosts.depot.hostKey: is an RSA key, which Pulumi's command plugin does not take; pin another one",
		],
		[
			"a login key in PKCS#8 form",
			(v) => Object.assign(v.sshPrivateKeys, { depot: "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n" }),
			"sshPrivateKeys.depot: is in PKCS#8 form",
		],
		[
			"a login key that needs a passphrase",
			(v) =>
				Object.assign(v.sshPrivateKeys, {
					depot: "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n-----END RSA PRIVATE KEY-----\n",
				}),
			"sshPrivateKeys.depot: is encrypted",
		],
		[
			"a wrong type",
			(v) => Object.assign(registry(v), { uiPort: "web" }),
			"hosts.depot.registry.uiPort: expected number",
		],
		[
			"a port out of range",
			(v) => Object.assign(registry(v), { uiPort: 70000 }),
			"hosts.depot.registry.uiPort: Too big",
		],
		[
			"a port used twice",
			(v) => Object.assign(registry(v).caches[2] ?? {}, { port: 7010 }),
			"hosts.depot.registry.caches[2].port: port 7010 is already used by caches.1.port",
		],
		[
			"the SSH port taken by the UI",
			(v) => Object.assign(registry(v), { uiPort: 22 }),
			"hosts.depot.registry: port 22 is already used by SSH",
		],
		[
			"a name used twice",
			(v) => Object.assign(registry(v).private ?? {}, { name: "beta" }),
			"hosts.depot.registry.private.name: name beta is already used by caches.2.name",
		],
		[
			"a cache that would be taken for nginx",
			(v) => Object.assign(registry(v).caches[2] ?? {}, { name: "nginx" }),
			"hosts.depot.registry.caches[2].name: is one of nginx, ui",
		],
		[
			"a network that is none",
			(v) => Object.assign(registry(v), { subnet: "999.1.1.0/24" }),
			"hosts.depot.registry.subnet: is not a network",
		],
		[
			"a network for containers that contains the VM itself",
			(v) => Object.assign(registry(v), { subnet: "192.0.2.0/24" }),
			"hosts.depot.registry.subnet: 192.0.2.0/24 contains 192.0.2.10, the address of depot, which could then not be reached",
		],
		[
			"a network for containers that contains a name server",
			(v) => Object.assign(registry(v), { subnet: "203.0.113.0/24" }),
			"203.0.113.0/24 contains 203.0.113.53, a name server of depot",
		],
		[
			"a timeout for systemd-resolved",
			(v) => Object.assign(v.hosts.depot.dns, { timeout: 2 }),
			"hosts.depot.dns.timeout: systemd-resolved has no such setting",
		],
		[
			"a netplan file elsewhere",
			(v) => Object.assign(v.hosts.depot.dns, { netplan: { interface: "eth0", file: "/etc/netplan" } }),
			"hosts.depot.dns.netplan.file: is not a YAML file in /etc/netplan",
		],
		["no internal name", (v) => Object.assign(v.dnsNames, { internal: [] }), "dnsNames.internal:"],
		[
			"a name server that is no address",
			(v) => Object.assign(v.hosts.depot.dns, { primary: "dns.internal" }),
			"hosts.depot.dns.primary: is not an IPv4 address",
		],
		[
			"a host that is deferred without a date",
			(v) => Object.assign(v.hosts.depot, { deferred: "yes" }),
			"hosts.depot.deferred: is not a date like 2026-04-19",
		],
		["another way to take rules", (v) => Object.assign(v.monitoring, { rules: "File" }), "monitoring.rules: "],
		[
			"an image without a tag",
			(v) => Object.assign(v.images, { registry: "registry" }),
			"images.registry: is not an image with a tag",
		],
		[
			"an upstream that is no URL",
			(v) => Object.assign(registry(v).caches[0] ?? {}, { upstream: "docker.io" }),
			"hosts.depot.registry.caches[0].upstream: is not a URL",
		],
		[
			"a public key for a private one",
			(v) => Object.assign(v.sshPrivateKeys, { depot: "ssh-ed25519 AAAA" }),
			"sshPrivateKeys.depot: is not a private key",
		],
		[
			"a fingerprint for a host key",
			(v) => Object.assign(v.hosts.depot, { hostKey: "SHA256:abc" }),
			"hosts.depot.hostKey: is not a host key",
		],
	] satisfies [string, (values: ExampleValues) => unknown, string][])(
		"refuses %s, and names it",
		(_, change, message) => {
			expect(parseExample(change)).toThrow(message);
		},
	);

	it("names every problem at once", () => {
		const broken = parseExample((values) => Object.assign(registry(values), { uiPort: "web", extra: 1, subnet: "x" }));
		expect(broken).toThrow(/extra[\s\S]*uiPort|uiPort[\s\S]*extra/);
		expect(broken).toThrow(/subnet/);
	});

	it("never repeats a secret in a message", () => {
		const broken = parseExample((values) =>
			Object.assign(values, { registryPassword: "hunter2", tlsPrivateKey: "hunter3" }),
		);
		expect(broken).toThrow(/registryPassword/);
		expect(broken).not.toThrow(/hunter/);
	});
});

describe("fromText", () => {
	it("leaves text alone, even where it looks like JSON, and reads the rest", () => {
		expect(fromText({ registryPassword: "12345678", protect: "true", images: '{"ui":"a:1"}' })).toEqual({
			registryPassword: "12345678",
			protect: true,
			images: { ui: "a:1" },
		});
	});

	it("leaves what can't be read for parseConfig to refuse", () => {
		expect(fromText({ protect: "maybe", unknown: "{" })).toEqual({ protect: "maybe", unknown: "{" });
	});
});

describe("an estate with caches only", () => {
	const cachesOnly = (authenticated: boolean) => {
		const values = exampleValues();
		const { registry } = values.hosts.depot;
		delete registry.private;
		for (const cache of registry.caches) cache.authenticated = authenticated;
		for (const key of ["registryUser", "registryPassword", "tlsCertificate", "tlsPrivateKey"])
			Reflect.deleteProperty(values, key);
		return values;
	};

	it("needs no user, no password and no certificate; with authenticated caches their account, and else not even that", () => {
		expect(parseConfig("test", cachesOnly(true)).hosts[0]?.registry?.private).toBeUndefined();
		const without = (authenticated: boolean) => {
			const { dockerhubUsername: _, dockerhubPassword: __, ...values } = cachesOnly(authenticated);
			return () => parseConfig("test", values);
		};
		expect(without(false)).not.toThrow();
		expect(without(true)).toThrow(/dockerhubUsername: missing.*\n.*dockerhubPassword: missing/);
	});

	it("of which one VM has a private registry needs what that one needs", () => {
		const { registryPassword: _, tlsPrivateKey: __, ...values } = exampleValues();
		expect(() => parseConfig("test", values)).toThrow(/registryPassword: missing.*\n.*tlsPrivateKey: missing/);
	});
});

describe("Pulumi.yaml", () => {
	it("has every key that config.ts reads, with its type, description and default, and marks the secret ones", () => {
		const { config } = parse(readFileSync("Pulumi.yaml", "utf8"));
		const keys = Object.entries(config).map(([name, key]) => ({ secret: false, ...(key as object), name }));
		expect(keys).toEqual(configKeys());
	});
});
