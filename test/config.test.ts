import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { fromText, parseConfig, secretKeys } from "../config.ts";
import { exampleValues } from "./exampleConfig.ts";

const parseExample = (change: (values: ReturnType<typeof exampleValues>) => void) => {
	const values = exampleValues();
	change(values);
	return () => parseConfig("test", values);
};

describe("parseConfig", () => {
	it("takes the example, and fills in the defaults", () => {
		const config = parseConfig("test", exampleValues());
		expect(config.registryHost).toEqual({ address: "10.0.20.10", port: 22, user: "root" });
		expect(config.caches[1]).toMatchObject({ name: "ghcr", authenticated: false });
	});

	it("needs no host key of a host that is deferred, and takes the date as Pulumi writes it back", () => {
		const values = exampleValues();
		const host = values.dns.hosts[0] as (typeof values.dns.hosts)[number];
		Object.assign(host, { hostKey: undefined, deferred: "2026-04-19 00:00:00 +0000 UTC" });
		expect(parseConfig("test", values).dns.hosts[0]?.deferred).toBe("2026-04-19");
	});

	it.each([
		["an unknown key", (v) => Object.assign(v, { registryHots: 1 }), "registryHots: unknown key"],
		["an unknown nested key", (v) => Object.assign(v.caches[1] ?? {}, { prot: 1 }), "caches[1].prot: unknown key"],
		[
			"a missing key",
			(v) => Reflect.deleteProperty(v, "uiPort"),
			'uiPort: missing; set it with "pulumi config set --stack test uiPort"',
		],
		[
			"a missing secret",
			(v) => Reflect.deleteProperty(v, "sshPrivateKey"),
			'sshPrivateKey: missing; set it with "pulumi config set --stack test --secret sshPrivateKey"',
		],
		[
			"a missing nested key",
			(v) => Reflect.deleteProperty(v.registryHost, "address"),
			'registryHost.address: missing; set it with "pulumi config set --stack test --path registryHost.address"',
		],
		["a wrong type", (v) => Object.assign(v, { uiPort: "web" }), "uiPort: expected number, received string"],
		["a port out of range", (v) => Object.assign(v, { uiPort: 70000 }), "uiPort: Too big"],
		[
			"a port used twice",
			(v) => Object.assign(v.caches[2] ?? {}, { port: 5010 }),
			"caches[2].port: port 5010 is already used by caches[1].port",
		],
		[
			"the SSH port taken by the UI",
			(v) => Object.assign(v, { uiPort: 22 }),
			"registryHost.port: port 22 is already used by uiPort",
		],
		[
			"a name used twice",
			(v) => Object.assign(v.privateRegistry, { name: "quay" }),
			"privateRegistry.name: name quay is already used by caches[2].name",
		],
		[
			"a DNS host without its host key",
			(v) => Reflect.deleteProperty(v.dns.hosts[1] ?? {}, "hostKey"),
			"dns.hosts[1].hostKey: missing; set it with \"pulumi config set --path 'dns.hosts[1].hostKey' '<type> <base64>'\"",
		],
		[
			"a timeout for systemd-resolved",
			(v) => Object.assign(v.dns.hosts[0] ?? {}, { timeout: 2 }),
			"dns.hosts[0].timeout: systemd-resolved has no such setting",
		],
		[
			"a netplan file elsewhere",
			(v) => Object.assign(v.dns.hosts[0] ?? {}, { netplan: { interface: "eth0", file: "/etc/netplan" } }),
			"dns.hosts[0].netplan.file: is not a YAML file in /etc/netplan",
		],
		["no internal name", (v) => Object.assign(v.dns.names, { internal: [] }), "dns.names.internal:"],
		[
			"a name server that is no address",
			(v) => Object.assign(v.dns.hosts[0] ?? {}, { primary: "dns.internal" }),
			"dns.hosts[0].primary: is not an IPv4 address",
		],
		[
			"a host that is deferred without a date",
			(v) => Object.assign(v.dns.hosts[0] ?? {}, { deferred: "yes" }),
			"dns.hosts[0].deferred: is not a date like 2026-04-19",
		],
		["another way to take rules", (v) => Object.assign(v.monitoring, { rules: "File" }), "monitoring.rules: "],
		[
			"an image without a tag",
			(v) => Object.assign(v.images, { registry: "registry" }),
			"images.registry: is not an image with a tag",
		],
		[
			"an upstream that is no URL",
			(v) => Object.assign(v.caches[0] ?? {}, { upstream: "docker.io" }),
			"caches[0].upstream: is not a URL",
		],
		[
			"a public key for a private one",
			(v) => Object.assign(v, { sshPrivateKey: "ssh-ed25519 AAAA" }),
			"sshPrivateKey: is not a private key",
		],
		[
			"a fingerprint for a host key",
			(v) => Object.assign(v, { registryHostKey: "SHA256:abc" }),
			"registryHostKey: is not a host key",
		],
	] satisfies [string, (values: ReturnType<typeof exampleValues>) => unknown, string][])(
		"refuses %s, and names it",
		(_, change, message) => {
			expect(parseExample(change)).toThrow(message);
		},
	);

	it("names every problem at once", () => {
		const broken = parseExample((values) => Object.assign(values, { uiPort: "web", extra: 1, subnet: "x" }));
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
		expect(fromText({ registryPassword: "12345678", uiPort: "8080", images: '{"ui":"a:1"}' })).toEqual({
			registryPassword: "12345678",
			uiPort: 8080,
			images: { ui: "a:1" },
		});
	});

	it("leaves what can't be read for parseConfig to refuse", () => {
		expect(fromText({ uiPort: "web", unknown: "{" })).toEqual({ uiPort: "web", unknown: "{" });
	});
});

describe("Pulumi.yaml", () => {
	it("declares the keys that config.ts reads, and no others", () => {
		const { config } = parse(readFileSync("Pulumi.yaml", "utf8"));
		expect(Object.keys(config).sort()).toEqual(Object.keys(exampleValues()).sort());
	});

	it("marks as secret what holds a secret", () => {
		const { config } = parse(readFileSync("Pulumi.yaml", "utf8"));
		const secrets = Object.keys(config).filter((key) => config[key].secret);
		expect(secrets.sort()).toEqual([...secretKeys].sort());
	});
});
