import { expect, it } from "vitest";
import { parse } from "yaml";
import { resolver } from "../../../components/dnsResolver/files.ts";
import { type Config, parseConfig } from "../../../config.ts";
import { exampleValues } from "../../exampleConfig.ts";

const config = parseConfig("test", exampleValues());
const host = (address: string) => config.dns.hosts.find((one) => one.address === address) as Config["dns"]["hosts"][0];

it("the Proxmox host's /etc/resolv.conf is the estate's, byte for byte, and its only file", () => {
	const { files } = resolver(config, host("192.168.1.127"));
	expect(Object.keys(files)).toEqual(["/etc/resolv.conf"]);
	expect(files["/etc/resolv.conf"]).toMatchObject({
		content: `search viktorbarzin.lan
nameserver 192.168.1.2
nameserver 94.140.14.14
options timeout:2 attempts:2
`,
		mode: "0644",
		owner: "root:root",
	});
});

it("the registry VM has the same servers globally and on its interface", () => {
	const { files } = resolver(config, host("10.0.20.10"));
	const lines = files["/etc/systemd/resolved.conf.d/10-internal-dns.conf"]?.content.split("\n") ?? [];
	expect(lines).toEqual(
		expect.arrayContaining(["[Resolve]", "DNS=10.0.20.1", "FallbackDNS=94.140.14.14", "Domains=viktorbarzin.lan"]),
	);
	expect(lines.filter((line) => line.startsWith("DNS="))).toEqual(["DNS=10.0.20.1", "DNS=94.140.14.14"]);
	const netplan = files["/etc/netplan/50-cloud-init.yaml"];
	expect(netplan?.within).toEqual(["network", "ethernets", "eth0", "nameservers"]);
	expect(parse(netplan?.content as string)).toEqual({
		addresses: ["10.0.20.1", "94.140.14.14"],
		search: ["viktorbarzin.lan"],
	});
});
