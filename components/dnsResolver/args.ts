/** The arguments of a DnsResolver: the role `dns` of a host in the config, and what index.ts adds to it. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { Connection } from "../../host/ssh.ts";

/** A name in DNS. */
export const dnsName = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, "is not a DNS name");

export const dnsRole = z
	.strictObject({
		primary: z.ipv4("is not an IPv4 address").describe("The server that is asked first. It knows the internal names."),
		fallback: z.ipv4("is not an IPv4 address").describe("The server that is asked where the primary does not answer."),
		search: dnsName.describe("The domain that is appended to short names."),
		netplan: z
			.strictObject({
				interface: z
					.string()
					.regex(/^[a-z][a-z0-9.-]*$/, "is not the name of an interface")
					.describe("The interface whose name servers netplan sets."),
				section: z
					.enum(["ethernets", "bridges", "bonds", "vlans", "wifis"])
					.default("ethernets")
					.describe("The part of the file in which it is configured. ethernets by default."),
				id: z
					.string()
					.regex(/^[\w.-]+$/, "is not an id of netplan")
					.optional()
					.describe("Its key there, where that is not its name, as with match and set-name. Its name by default."),
				file: z
					.string()
					.regex(/^\/etc\/netplan\/[\w.-]+\.yaml$/, "is not a YAML file in /etc/netplan")
					.default("/etc/netplan/50-cloud-init.yaml")
					.describe("The file in which it is configured. /etc/netplan/50-cloud-init.yaml by default."),
			})
			.optional()
			.describe(
				"Set where systemd-resolved resolves names and netplan says which servers an interface has. Without it, /etc/resolv.conf is a plain file that nothing else manages.",
			),
		timeout: z
			.int()
			.min(1)
			.optional()
			.describe(
				"How long a server has for its answer, in seconds. 2 by default; systemd-resolved has no such setting.",
			),
		attempts: z
			.int()
			.min(1)
			.optional()
			.describe("How often all servers are asked. 2 by default; systemd-resolved has no such setting."),
		revertSeconds: z
			.int()
			.min(5)
			.max(600)
			.default(60)
			.describe(
				"How long a change has until the host takes it back by itself, unless names were seen to resolve with it. In seconds; 60 by default.",
			),
	})
	.superRefine((role, context) => {
		if (role.netplan === undefined) return;
		for (const key of ["timeout", "attempts"] as const)
			if (role[key] !== undefined)
				context.addIssue({ code: "custom", path: [key], message: "systemd-resolved has no such setting; take it out" });
	});

export const dnsNames = z.strictObject({
	internal: z.array(dnsName).min(1).describe("Names that only the primary server knows."),
	external: dnsName.describe("A name that every server knows."),
});

export type DnsRole = z.output<typeof dnsRole>;
export type DnsNames = z.output<typeof dnsNames>;

/** A container that looks names up and has to know when the name servers of its host change. */
export interface ResolvingContainer {
	/** Its name in Docker. */
	name: string;
	/** The port on the host at which it answers `GET /v2/` over HTTP. */
	port: number;
	/** A URL that it has to reach in order to start. */
	upstream: string;
}

export interface DnsResolverArgs {
	/** How the host is reached. */
	connection: pulumi.Input<Connection>;
	/** The name servers and how they are used. */
	resolver: pulumi.Input<DnsRole>;
	/** A change is kept only where all of them resolve on the host. */
	names: pulumi.Input<DnsNames>;
	/** The containers on the host that look names up. None by default. */
	containers?: pulumi.Input<ResolvingContainer[]>;
}
