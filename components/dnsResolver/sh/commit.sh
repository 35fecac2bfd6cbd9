#!/bin/sh
# commit.sh REVISION: makes the change live, and keeps it where the internal and external names still resolve; takes it
# back at once where they do not. Then restarts the containers that were started with other servers, and nobody else.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"
revision=$1

problem() {
	printf '%s\n' "$1" >&2
	stop_timer
	if [ -f /run/dns-resolver/revert.sh ] &&
		fileset generations "$FILE_SET" | cut -f 1 | grep -qxF -e "$revision" &&
		sh /run/dns-resolver/revert.sh "$revision" >/dev/null; then
		echo "the former settings are back" >&2
	fi
	exit 1
}

note_servers
sh "$here/activate.sh" || problem "the new settings can't be made live"

# A netplan file of the host's own, or DHCP, may have other ideas.
if [ -n "$NAME_SERVERS" ]; then
	tries=0
	until seen=$(sh "$here/name-servers.sh" "$LINK") && [ "$seen" = "$NAME_SERVERS" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 40 ] ||
			problem "systemd-resolved has other name servers than declared: $(printf '%s' "$seen" | tr '\n' ' '); another file sets them, in /etc/netplan or /etc/systemd/resolved.conf.d, or a router announces them (in netplan: dhcp4-overrides, dhcp6-overrides or ra-overrides with use-dns: false)"
		sleep 0.25
	done
fi
printf '%s\n%s\n' "$INTERNAL" "$EXTERNAL" | while IFS= read -r name; do
	timeout 30 getent ahosts -- "$name" >/dev/null || { printf '%s\n' "$name" && exit 1; }
done >"$here/unresolved" || problem "$(cat "$here/unresolved") does not resolve with the settings as they are now"
rm -f "$here/unresolved"

stop_timer
rm -rf /run/dns-resolver
fileset revisions "$FILE_SET" | grep -qxF -e "dns=$revision" ||
	fail "the change was taken back meanwhile, because this came too late; run it again"
[ -z "$CONTAINERS" ] || sh "$here/refresh-containers.sh"
fileset settle "$FILE_SET" "dns=$revision"
