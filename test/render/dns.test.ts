import { expect, it } from "vitest";
import { parseConfig } from "../../config.ts";
import { dnsFiles } from "../../render/dns.ts";
import { exampleValues } from "../exampleConfig.ts";

it("the Proxmox host's /etc/resolv.conf is the estate's, byte for byte", () => {
	const [host] = parseConfig("test", exampleValues()).dns.hosts;
	expect(host?.address).toBe("192.168.1.127");
	const files = dnsFiles(host as NonNullable<typeof host>);
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
