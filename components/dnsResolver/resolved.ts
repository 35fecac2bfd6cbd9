/** The resolver of a host with systemd-resolved, whose interface is netplan's. */
import { stringify } from "yaml";
import type { DnsHost } from "../../config.ts";
import { managedFile } from "../../host/managedFile.ts";
import { askBy, type Resolver } from "./resolver.ts";

const DROP_IN = "/etc/systemd/resolved.conf.d/10-internal-dns.conf";
const FAILBACK = "/usr/local/sbin/dns-failback";
const FAILBACK_UNIT = "dns-failback.service";

/** How often the failback looks whether the primary is back, in seconds. */
const FAILBACK_SECONDS = 15;

/** `internal` is a name that the primary knows. */
export function resolved(
	host: DnsHost,
	{ file, interface: link }: NonNullable<DnsHost["netplan"]>,
	internal: string,
): Resolver {
	const { primary, fallback, search } = host;
	const restarted = (what: string) => `${what}; the change is taken back if names no longer resolve`;
	const notify = { notify: ["dns"] };
	const nameservers = stringify({ addresses: [primary, fallback], search: [search] });
	return {
		files: {
			[DROP_IN]: managedFile(dropIn(host), restarted("systemd-resolved is restarted"), notify),
			[file]: managedFile(nameservers, restarted(`netplan's settings of ${link} are read again`), {
				...notify,
				mode: "0600",
				within: ["network", "ethernets", link, "nameservers"],
			}),
			"/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg": managedFile(
				"network: {config: disabled}\n",
				`cloud-init no longer writes ${file}`,
			),
			[FAILBACK]: managedFile(failback(host, link, internal), `${FAILBACK_UNIT} is restarted`, {
				...notify,
				mode: "0755",
			}),
			[`/etc/systemd/system/${FAILBACK_UNIT}`]: managedFile(failbackUnit, `${FAILBACK_UNIT} is restarted`, notify),
		},
		preconditions: [
			{
				run: "systemctl is-active systemd-resolved systemd-networkd",
				problem: "systemd-resolved or systemd-networkd does not run there",
				advice: 'start it, or declare the host\'s resolver as what it is: without "netplan"',
			},
			{
				run: `case $(readlink -f /etc/resolv.conf) in
/run/systemd/resolve/*) ;;
*) ls -l /etc/resolv.conf && exit 1 ;;
esac`,
				problem: "/etc/resolv.conf is not a link to systemd-resolved's",
				advice: "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
			},
			{
				run: `networkctl list --no-legend ${link} | grep -E ' configur(ed|ing) *$' || { networkctl list ${link}; exit 1; }`,
				problem: `${link} is not an interface that systemd-networkd configures`,
				advice: "name the one that netplan configures",
			},
		],
		checks: [
			{
				name: `netplan refuses ${file}, or makes other name servers of it`,
				run: `root=$(mktemp -d /run/check.XXXXXX)
mkdir "$root/etc"
cp -rp /etc/netplan "$root/etc/"
cp "$(staged ${file})" "$root${file}"
status=0
netplan generate --root-dir "$root" || status=$?
seen=$(sed -n 's/^DNS=//p' "$root/run/systemd/network/10-netplan-${link}.network" | tr '\\n' ' ')
rm -rf "$root"
[ "$status" -eq 0 ] || exit "$status"
[ "$seen" = "${primary} ${fallback} " ] || { echo "with the other files in /etc/netplan, the name servers of ${link} are $seen"; exit 1; }`,
				files: [file],
			},
		],
		conditions: {
			"name servers": {
				run: `for what in dns domain; do
	resolvectl "$what" | sed -n -e '/^Global:/p' -e 's/^Link [0-9]* (${link}):/${link}:/p'
done`,
				state: [`${primary} ${fallback}`, search].map((what) => `Global: ${what}\n${link}: ${what}\n`).join(""),
				...notify,
				reaction: "the settings are read again, and systemd-resolved is restarted",
			},
			failback: {
				run: `systemctl is-enabled ${FAILBACK_UNIT}; systemctl is-active ${FAILBACK_UNIT}`,
				state: "enabled\nactive\n",
				...notify,
				reaction: `${FAILBACK_UNIT} is enabled and started`,
			},
		},
		activate: `netplan generate
networkctl reload
systemctl daemon-reload
if [ -e /etc/systemd/system/${FAILBACK_UNIT} ]; then
	systemctl --quiet enable ${FAILBACK_UNIT}
	systemctl restart ${FAILBACK_UNIT}
else
	systemctl stop ${FAILBACK_UNIT} 2>/dev/null || true
	rm -f /etc/systemd/system/*.wants/${FAILBACK_UNIT}
fi
systemctl reset-failed systemd-resolved 2>/dev/null || true # systemd would refuse the fifth restart in ten seconds.
systemctl restart systemd-resolved`,
		forget: "resolvectl flush-caches",
	};
}

/** Both servers are global, too, although the link's come first: a scope with nobody left makes lookups wait for it. */
function dropIn({ primary, fallback, search }: DnsHost): string {
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

function failback({ primary, fallback }: DnsHost, link: string, internal: string): string {
	return `#!/bin/sh
# Managed by Pulumi: a change made here by hand is undone by the next update.
#
# systemd-resolved stays with a server for as long as it answers. The fallback does, and says of every internal name
# that there is none. So once the primary answers again, resolved is restarted, and begins with the primary.
set -eu
servers=/run/dns-failback.conf
printf 'nameserver ${primary}\\noptions timeout:2 attempts:1\\n' >"$servers"
${askBy}
while sleep ${FAILBACK_SECONDS}; do
	if resolvectl status | sed -n -e '/^Global/,/^$/p' -e '/^Link .*(${link})/,/^$/p' | grep -q 'Current DNS Server: ${fallback}$' &&
		ask_by "$servers" ${internal} >/dev/null; then
		echo "${primary} answers again"
		systemctl restart systemd-resolved
	fi
done
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
