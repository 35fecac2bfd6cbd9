/** The resolver of a host with systemd-resolved, whose interface is netplan's. */
import { stringify } from "yaml";
import { managedFile } from "../../host/managedFile.ts";
import { shellScript } from "../../host/shell.ts";
import type { DnsRole } from "./args.ts";
import { FAILBACK_UNIT, GROUP, type Resolver } from "./resolver.ts";

const DROP_IN = "/etc/systemd/resolved.conf.d/10-internal-dns.conf";
const FAILBACK = "/usr/local/sbin/dns-failback";

const script = (name: string) => shellScript(import.meta.url, name);

export function resolved(
	role: DnsRole,
	{ file, interface: link, section, id = link }: NonNullable<DnsRole["netplan"]>,
): Resolver {
	const { primary, fallback, search } = role;
	const restarted = (what: string) => `${what}; the change is taken back if names no longer resolve`;
	const notify = { notify: [GROUP] };
	const settings = stringify({ addresses: [primary, fallback], search: [search] });
	const live = [`${primary} ${fallback}`, search].map((what) => `Global: ${what}\n${link}: ${what}\n`).join("");
	return {
		kind: "resolved",
		files: {
			[DROP_IN]: managedFile(dropIn(role), restarted("systemd-resolved is restarted"), notify),
			[file]: managedFile(settings, restarted(`netplan's settings of ${link} are read again`), {
				...notify,
				mode: "0600",
				yamlPath: ["network", section, id, "nameservers"],
			}),
			"/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg": managedFile(
				"network: {config: disabled}\n",
				`cloud-init no longer writes ${file}`,
			),
			[FAILBACK]: managedFile(script("failback.sh"), `${FAILBACK_UNIT} is restarted`, { ...notify, mode: "0755" }),
			[`/etc/systemd/system/${FAILBACK_UNIT}`]: managedFile(failbackUnit, `${FAILBACK_UNIT} is restarted`, notify),
		},
		preconditions: [
			{
				script: "systemctl is-active systemd-resolved systemd-networkd",
				problem: "systemd-resolved or systemd-networkd does not run there",
				advice: 'start it, or declare the host\'s resolver as what it is: without "netplan"',
			},
			{
				script: script("is-resolveds-link.sh"),
				args: ["/etc/resolv.conf"],
				problem: "/etc/resolv.conf is not a link to systemd-resolved's",
				advice: "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
			},
			{
				script: script("is-managed-link.sh"),
				args: [link],
				problem: `${link} is not an interface that systemd-networkd configures`,
				advice: "name the one that netplan configures",
			},
		],
		checks: [
			{
				name: `netplan refuses ${file}, or makes other name servers of it`,
				script: script("check-netplan.sh"),
				args: [file, id, `${primary} ${fallback}`],
				files: [file],
			},
		],
		conditions: {
			"name servers": {
				script: script("name-servers.sh"),
				args: [link],
				state: live,
				...notify,
				effect: "the settings are read again, and systemd-resolved is restarted",
			},
			failback: {
				script: script("failback-state.sh"),
				args: [FAILBACK_UNIT],
				state: "enabled\nactive\n",
				...notify,
				effect: `${FAILBACK_UNIT} is enabled and started`,
			},
		},
		link,
		nameServers: live.trimEnd(),
	};
}

/** Both servers are global, too, although the link's come first: a scope with nobody left makes lookups wait for it. */
function dropIn({ primary, fallback, search }: DnsRole): string {
	return `# Managed by Pulumi: a change made here by hand is undone by the next update.
[Resolve]
DNS=${primary}
FallbackDNS=${fallback}
Domains=${search}
# FallbackDNS is for when there is no other server at all. Without a second one in this list, an internal name hangs
# for as long as the first one is down.
DNS=${fallback}
# What the public server says of an internal name is not true for longer than it takes.
Cache=no-negative
`;
}

const failbackUnit = `# Managed by Pulumi: a change made here by hand is undone by the next update.
[Unit]
Description=Return to the primary DNS server as soon as it answers again
After=systemd-resolved.service

[Service]
ExecStart=${FAILBACK}
Restart=always

[Install]
WantedBy=multi-user.target
`;
