/** A host's DNS resolver: what is common to all kinds, and how a change that does not resolve is taken back. */
import { type Config, type DnsHost, isRegistryHost } from "../../config.ts";
import type { Check } from "../registryVm/checks.ts";
import type { Condition } from "../registryVm/conditions.ts";
import { registries } from "../registryVm/registries.ts";
import { resolvConf } from "./resolvConf.ts";
import { resolved } from "./resolved.ts";
import { askBy, type Resolver } from "./resolver.ts";

export function resolver({ dns }: Config, host: DnsHost): Resolver {
	return host.netplan ? resolved(host, host.netplan, dns.names.internal[0] as string) : resolvConf(host);
}

/** Names the records of a host's FileSet. */
export const DNS_FILE_SET = "dns";

/** How long a change has until it is taken back, unless the host has been asked whether it still resolves. In seconds. */
const REVERT_AFTER = 60;

const RECORDS = `/var/lib/pulumi-host/${DNS_FILE_SET}`;
const REVERT = "/run/dns-revert.sh";
const BACKUPS = "/root/dns-backups";
const KEPT_BACKUPS = 10;

/**
 * Not a judgement: the last moment before the files are replaced. A copy of what is there is put aside, and a timer is
 * set that puts it back unless the change is committed.
 */
export function armDns(config: Config, host: DnsHost): Check {
	const { files, activate } = resolver(config, host);
	const paths = Object.keys(files);
	return {
		name: "the host can't be prepared for the change to be taken back",
		run: `mkdir -p ${BACKUPS}
backup=${BACKUPS}/dns-config-backup-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
for path in ${paths.map((path) => path.slice(1)).join(" ")}; do
	if [ -e "/$path" ] || [ -L "/$path" ]; then echo "$path"; fi
done | tar -czf "$backup" -C / --files-from -
sync "$backup" ${BACKUPS}
find ${BACKUPS} -name 'dns-config-backup-*.tar.gz' | sort -r | tail -n +${KEPT_BACKUPS + 1} | while IFS= read -r old; do rm -f "$old"; done
${isRegistryHost(config, host) ? noteServers : ""}
cp fileset.sh /run/dns-fileset.sh
cat >${REVERT} <<'EOF'
#!/bin/sh
# dns-revert.sh REVISION: takes that change back. Nobody said in time that names still resolve.
set -eu
[ -d ${RECORDS}/generations/$1 ] || exit 0
for try in 1 2 3 4 5; do
	if sh /run/dns-fileset.sh undo ${DNS_FILE_SET} "$1"; then
${indented(activate, 2)}
		exit 0
	fi
	sleep 2
done
exit 1
EOF
systemctl stop dns-revert.timer 2>/dev/null || true
systemctl reset-failed dns-revert.service 2>/dev/null || true
systemd-run --quiet --collect --unit=dns-revert --on-active=${REVERT_AFTER} --timer-property=AccuracySec=1s sh ${REVERT} "$revision"`,
		files: paths,
	};
}

/**
 * Makes the change live, and keeps it where the internal and external names still resolve; takes it back at once where
 * they don't. Then restarts the caches that were started with other servers, and nobody else.
 */
export function commitDns(config: Config, host: DnsHost, revision: string): string {
	const { activate, conditions } = resolver(config, host);
	const { internal, external } = config.dns.names;
	const settings = conditions["name servers"];
	const ours = isRegistryHost(config, host);
	return `set -eu
problem() {
	echo "$1" >&2
	systemctl stop dns-revert.timer 2>/dev/null || true
	if [ -d ${RECORDS}/generations/${revision} ] && sh ${REVERT} ${revision} >/dev/null; then echo "the former settings are back" >&2; fi
	exit 1
}
${ours ? noteServers : ""}
sh -e <<'EOF' || problem "the new settings can't be made live"
${activate}
EOF
${settings ? awaitSettings(settings) : ""}
for name in ${internal.join(" ")} ${external}; do
	timeout 30 getent ahosts "$name" >/dev/null || problem "$name does not resolve with the settings as they are now"
done
systemctl stop dns-revert.timer 2>/dev/null || true
rm -f ${REVERT}
if [ "$(cat ${RECORDS}/revisions/dns)" != ${revision} ]; then
	echo "the change was taken back meanwhile, because this came too late; run it again" >&2
	exit 1
fi
${ours ? restartCaches(config) : ""}
sh /var/lib/pulumi-host/fileset.sh settle ${DNS_FILE_SET} dns=${revision}`;
}

/** Waits until the condition holds; a netplan of the host's own, or DHCP, may have other ideas. */
function awaitSettings({ run, state }: Condition): string {
	return `seen() {
${indented(run, 1)}
}
tries=0
until [ "$(seen)" = "${state.trimEnd()}" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 40 ] || problem "systemd-resolved has other name servers than declared: $(seen | tr '\\n' ' ')"
	sleep 0.25
done`;
}

/**
 * Docker hands a container the servers in the host's /etc/resolv.conf when it starts, and never others. So it is noted
 * what they are, and, by the file's time, since when; until the first change, since always. Where that file is
 * systemd-resolved's stub, they never change.
 */
const noteServers = `servers() { grep ^nameserver /etc/resolv.conf; }
mkdir -p ${RECORDS}
[ -f ${RECORDS}/servers ] || { servers >${RECORDS}/servers && touch -d @0 ${RECORDS}/servers; }`;

/** Only the caches look names up. One whose upstream does not answer would not start again, so it goes on as it is. */
function restartCaches(config: Config): string {
	const caches = registries(config).flatMap((registry) =>
		registry.kind === "cache" ? [`refresh ${registry.service} ${registry.port} ${registry.upstream}`] : [],
	);
	return `servers >${RECORDS}/servers.now
if cmp -s ${RECORDS}/servers.now ${RECORDS}/servers; then
	rm ${RECORDS}/servers.now
else
	mv ${RECORDS}/servers.now ${RECORDS}/servers
fi
${askBy}
late=
refresh() {
	name=$1 port=$2 upstream=$3
	started=$(docker inspect --format '{{if .State.Running}}{{.State.StartedAt}}{{end}}' "$name" 2>/dev/null) || return 0
	[ -n "$started" ] || return 0
	if [ "$(date -d "$started" +%s)" -le "$(stat -c %Y ${RECORDS}/servers)" ]; then
		if ! curl --silent --output /dev/null --max-time 10 "$upstream/v2/"; then
			late="$late $name"
			return 0
		fi
		docker restart "$name" >/dev/null
		echo "restarted $name, which had the former name servers"
		tries=0
		until curl --silent --fail --output /dev/null --max-time 5 "http://127.0.0.1:$port/v2/"; do
			tries=$((tries + 1))
			[ "$tries" -lt 120 ] || { echo "$name does not answer after its restart" >&2; exit 1; }
			sleep 0.5
		done
	fi
	pid=$(docker inspect --format '{{.State.Pid}}' "$name")
	ask_by "$(docker inspect --format '{{.ResolvConfPath}}' "$name")" ${config.dns.names.external} nsenter --target "$pid" --net >/dev/null || {
		echo "${config.dns.names.external} does not resolve in $name" >&2
		exit 1
	}
}
${caches.join("\n")}
if [ -n "$late" ]; then
	echo "still with the former name servers, because their upstreams do not answer, and a cache does not start without:$late; run it again when they do" >&2
	exit 1
fi`;
}

/**
 * Puts back what a backup has, by rename, and takes away what it does not have. Without a name, the newest one.
 * Prints which one it was.
 */
export function rollbackDns(config: Config, host: DnsHost, backup = ""): string {
	const { files, activate } = resolver(config, host);
	const ours = Object.entries(files).map(([path, { within }]) => `put_back ${path} ${within ? "stays" : "goes"}`);
	return `set -eu
cd ${BACKUPS} 2>/dev/null || { echo "there are no backups: nothing was ever changed there" >&2; exit 1; }
backup=${backup || "$(ls dns-config-backup-*.tar.gz | sort | tail -n 1)"}
[ -f "$backup" ] || { echo "there is no backup $backup; there are: $(ls | tr '\\n' ' ')" >&2; exit 1; }
systemctl stop dns-revert.timer 2>/dev/null || true
folder=$(mktemp -d /run/dns-rollback.XXXXXX)
trap 'rm -rf "$folder"' EXIT
tar -xpzf "$backup" -C "$folder"
put_back() {
	if [ -e "$folder$1" ] || [ -L "$folder$1" ]; then
		cp -pP "$folder$1" "$1.rollback"
		mv -fT "$1.rollback" "$1"
	elif [ "$2" = goes ]; then
		rm -f "$1"
	fi
}
${ours.join("\n")}
${activate}
echo "put back $backup"
timeout 30 getent ahosts ${config.dns.names.external} >/dev/null || { echo "but ${config.dns.names.external} does not resolve with it" >&2; exit 1; }`;
}

function indented(script: string, tabs: number): string {
	return script.replace(/^(?=.)/gm, "\t".repeat(tabs));
}
