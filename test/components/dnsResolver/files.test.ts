import { expect, it } from "vitest";
import { parse } from "yaml";
import { type ResolverSet, resolverSet, SCRIPTS } from "../../../components/dnsResolver/files.ts";
import { parseConfig } from "../../../config.ts";
import { exampleValues } from "../../fixtures/estate.ts";

const config = parseConfig("test", exampleValues());
const setOf = (name: string): ResolverSet => {
	const dns = config.hosts.find((host) => host.name === name)?.dns;
	if (dns === undefined) throw new Error(`${name} has no role dns`);
	return resolverSet(dns, config.dnsNames, []);
};

it("a host with a plain /etc/resolv.conf gets it byte for byte, and besides only the scripts", () => {
	const { files } = setOf("hypervisor");
	const others = Object.keys(files).filter((path) => !path.startsWith(`${SCRIPTS}/`));
	expect(others).toEqual(["/etc/resolv.conf"]);
	expect(files["/etc/resolv.conf"]).toMatchObject({
		content: `search example.test
nameserver 192.0.2.2
nameserver 203.0.113.53
options timeout:2 attempts:2
`,
		mode: "0644",
		owner: "root:root",
	});
});

it("a host with systemd-resolved has the same servers globally and on its interface", () => {
	const { files } = setOf("depot");
	const lines = files["/etc/systemd/resolved.conf.d/10-internal-dns.conf"]?.content.split("\n") ?? [];
	expect(lines).toEqual(
		expect.arrayContaining(["[Resolve]", "DNS=192.0.2.1", "FallbackDNS=203.0.113.53", "Domains=example.test"]),
	);
	expect(lines.filter((line) => line.startsWith("DNS="))).toEqual(["DNS=192.0.2.1", "DNS=203.0.113.53"]);
	const netplan = files["/etc/netplan/50-cloud-init.yaml"];
	expect(netplan?.yamlPath).toEqual(["network", "ethernets", "ens3", "nameservers"]);
	expect(parse(netplan?.content as string)).toEqual({
		addresses: ["192.0.2.1", "203.0.113.53"],
		search: ["example.test"],
	});
});

it("netplan may know an interface by another id, in another section", () => {
	const values = exampleValues();
	Object.assign(values.hosts.depot.dns, { netplan: { interface: "br0", section: "bridges", id: "uplink" } });
	const { hosts, dnsNames } = parseConfig("test", values);
	const dns = hosts[0]?.dns;
	if (dns === undefined) throw new Error("depot has no role dns");
	const { files, checks } = resolverSet(dns, dnsNames, []);
	expect(files["/etc/netplan/50-cloud-init.yaml"]?.yamlPath).toEqual(["network", "bridges", "uplink", "nameservers"]);
	expect(checks[0]?.args?.[1]).toBe("uplink");
	expect(files[`${SCRIPTS}/resolver.env`]?.content).toContain("LINK='br0'");
});

it("a change of the scripts alone calls for no commit", () => {
	const { files, beforeActivation } = setOf("depot");
	for (const [path, { notify }] of Object.entries(files))
		expect(notify, path).toEqual(path.startsWith(`${SCRIPTS}/`) || path.includes("cloud.cfg.d") ? [] : ["dns"]);
	expect(beforeActivation[0]?.files.some((path) => path.startsWith(SCRIPTS))).toBe(false);
});
