/** A host's DNS resolver: its file, what has to be so before it is written, and how a change that does not resolve is taken back. */
import type { Config, DnsHost } from "../config.ts";
import type { Check } from "./checks.ts";
import { type ManagedFiles, managedFile } from "./managedFile.ts";
import type { Precondition } from "./preconditions.ts";

/** Names the records of a host's FileSet. */
export const DNS_FILE_SET = "dns";

/** How long a change has until it is taken back, unless the host has been asked whether it still resolves. In seconds. */
const REVERT_AFTER = 60;

const FILE = "/etc/resolv.conf";
const REVERT = "/run/dns-revert.sh";
export const BACKUPS = "/root/dns-backups";
const KEPT_BACKUPS = 10;

export function dnsFiles({ search, primary, fallback, timeout, attempts }: DnsHost): ManagedFiles {
	const text = `search ${search}
nameserver ${primary}
nameserver ${fallback}
options timeout:${timeout} attempts:${attempts}
`;
	return {
		[FILE]: managedFile(
			text,
			"new lookups read it; nothing is restarted, and the change is taken back if names no longer resolve",
			{
				notify: ["dns"],
			},
		),
	};
}

/** Somebody else who writes the file would win, sooner or later. */
export const dnsPreconditions: Precondition[] = [
	{
		run: `[ ! -L ${FILE} ] || { echo "it is a link to $(readlink ${FILE})"; exit 1; }`,
		problem: `${FILE} is not a file of its own`,
		advice: "let what it links to be managed instead, or replace the link by a file first",
	},
	{
		run: `for unit in systemd-resolved NetworkManager connman; do
	! systemctl --quiet is-active "$unit" || { echo "$unit runs"; exit 1; }
done
! command -v resolvconf || { echo "resolvconf is installed"; exit 1; }`,
		problem: `something else manages ${FILE}`,
		advice: "take it away there, or declare the host's resolver as what it is",
	},
];

/**
 * Not a judgement: the last moment before the file is replaced. A copy of what is there is put aside, and a timer is
 * set that puts it back unless the change is committed.
 */
export const dnsChecks: Check[] = [
	{
		name: "the host can't be prepared for the change to be taken back",
		run: `mkdir -p ${BACKUPS}
backup=${BACKUPS}/dns-config-backup-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
tar -czf "$backup" --ignore-failed-read -C / ${FILE.slice(1)} 2>/dev/null || [ ! -e ${FILE} ]
sync "$backup" ${BACKUPS}
find ${BACKUPS} -name 'dns-config-backup-*.tar.gz' | sort -r | tail -n +${KEPT_BACKUPS + 1} | while IFS= read -r old; do rm -f "$old"; done
cp fileset.sh /run/dns-fileset.sh
cat >${REVERT} <<EOF
#!/bin/sh
# Takes back the change $revision: nobody said in time that names still resolve.
[ -d /var/lib/pulumi-host/${DNS_FILE_SET}/generations/$revision ] || exit 0
for try in 1 2 3 4 5; do
	! sh /run/dns-fileset.sh undo ${DNS_FILE_SET} $revision || exit 0
	sleep 2
done
exit 1
EOF
systemctl stop dns-revert.timer 2>/dev/null || true
systemctl reset-failed dns-revert.service 2>/dev/null || true
systemd-run --quiet --collect --unit=dns-revert --on-active=${REVERT_AFTER} --timer-property=AccuracySec=1s sh ${REVERT}`,
		files: [FILE],
	},
];

/** Keeps the change where an internal and an external name still resolve, and takes it back at once where they don't. */
export function commitDns({ dns }: Config, revision: string): string {
	const { internal, external } = dns.names;
	return `for name in ${internal} ${external}; do
	if ! timeout 30 getent ahosts "$name" >/dev/null; then
		echo "$name does not resolve with ${FILE} as it is now" >&2
		systemctl stop dns-revert.timer 2>/dev/null || true
		[ ! -f ${REVERT} ] || { sh ${REVERT} >/dev/null && echo "the former one is back" >&2; }
		exit 1
	fi
done
systemctl stop dns-revert.timer 2>/dev/null || true
rm -f ${REVERT}
if [ "$(cat /var/lib/pulumi-host/${DNS_FILE_SET}/revisions/dns)" != ${revision} ]; then
	echo "the change was taken back meanwhile, because this came too late; run it again" >&2
	exit 1
fi
sh /var/lib/pulumi-host/fileset.sh settle ${DNS_FILE_SET} dns=${revision}`;
}

/**
 * Puts back what a backup has, by rename, and takes away what it does not have. Without a name, the newest one.
 * Prints which one it was.
 */
export function rollbackDns(backup = ""): string {
	return `set -eu
cd ${BACKUPS}
backup=${backup || "$(ls dns-config-backup-*.tar.gz | sort | tail -n 1)"}
[ -f "$backup" ] || { echo "there is no backup $backup; there are: $(ls | tr '\\n' ' ')" >&2; exit 1; }
systemctl stop dns-revert.timer 2>/dev/null || true
folder=$(mktemp -d /run/dns-rollback.XXXXXX)
trap 'rm -rf "$folder"' EXIT
tar -xpzf "$backup" -C "$folder"
if [ -e "$folder${FILE}" ] || [ -L "$folder${FILE}" ]; then
	cp -pP "$folder${FILE}" ${FILE}.rollback
	mv -fT ${FILE}.rollback ${FILE}
else
	rm -f ${FILE}
fi
echo "put back $backup"`;
}

/**
 * Drops what the primary server answers the host, and looks names up meanwhile: the answers that were dropped prove
 * that the resolver asked. On the way out it would be told at once that it may not send, which no dead server does.
 * The block goes when the script ends, however it ends; where it can't, a timer takes it away.
 */
export function failoverDns({ dns }: Config, { primary, fallback }: DnsHost): string {
	const { internal, external } = dns.names;
	return `set -eu
fail() {
	echo "$1" >&2
	exit 1
}
command -v iptables >/dev/null || fail "there is no iptables here to keep the primary away with"
look_up() {
	begin=$(date +%s%3N)
	answer=$(timeout 30 getent ahostsv4 "$1" | head -n 1 | cut -d ' ' -f 1) || true
	echo "$2: $1 is \${answer:-unknown}, after $(($(date +%s%3N) - begin)) ms"
}
look_up ${internal} "primary up"
[ -n "$answer" ] || fail "${internal} does not resolve even with the primary up"
if command -v dig >/dev/null; then
	status=$(dig @${fallback} ${internal} +time=3 +tries=1 | sed -n 's/.*status: \\([A-Z]*\\),.*/\\1/p')
	echo "fallback asked for ${internal}: \${status:-no answer} (whoever asks it takes that for the truth)"
fi
filter() {
	for protocol in udp tcp; do iptables "$1" INPUT -s ${primary} -p "$protocol" --sport 53 -j DROP; done
}
unblock() {
	filter -D 2>/dev/null || true
	systemctl stop dns-failover.timer 2>/dev/null || true
}
trap unblock EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
unblock # Of a run that was killed.
systemd-run --quiet --collect --unit=dns-failover --on-active=60 --timer-property=AccuracySec=1s sh -c \
	'for protocol in udp tcp; do iptables -D INPUT -s ${primary} -p "$protocol" --sport 53 -j DROP; done'
filter -I
look_up ${external} "primary down"
found=$answer
look_up ${external} "once more"
look_up ${internal} "primary down"
dropped=$(iptables -L INPUT -v -n -x | awk '$3 == "DROP" && $8 == "${primary}" { sum += $1 } END { print sum + 0 }')
unblock
trap - EXIT
[ "$dropped" -gt 0 ] || fail "${primary} answered nothing meanwhile that could be dropped, so this proves nothing"
echo "$dropped packets from ${primary} were dropped"
look_up ${internal} "primary up again"
[ -n "$found" ] || fail "${external} did not resolve while the primary was down: there is no failover"
[ -n "$answer" ] || fail "${internal} does not resolve, although the primary is up again"`;
}
