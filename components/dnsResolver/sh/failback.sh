#!/bin/sh
# Managed by Pulumi: a change made here by hand is undone by the next update.
#
# systemd-resolved stays with a server for as long as it answers. The fallback does, and says of every internal name
# that there is none. So once the primary answers again, resolved is restarted, and begins with the primary.
#
# failback.sh [FOLDER]: a service; FOLDER is where resolver.env and the other scripts are.
set -eu
folder=${1:-/usr/local/lib/dns-resolver}
servers=/run/dns-failback.conf

while sleep 15; do
	# Read again each time, so that a changed name needs no restart.
	# shellcheck source=/dev/null
	. "$folder/resolver.env"
	resolvectl status | LINK=$LINK awk '
		/^Global/ { ours = 1 }
		/^Link / { ours = index($0, "(" ENVIRON["LINK"] ")") }
		ours && /Current DNS Server: / { print $NF }' | grep -qxF -e "$FALLBACK" || continue
	printf 'nameserver %s\noptions timeout:2 attempts:1\n' "$PRIMARY" >"$servers"
	sh "$folder/ask-by.sh" "$servers" "$(printf '%s\n' "$INTERNAL" | head -n 1)" >/dev/null || continue
	echo "$PRIMARY answers again"
	systemctl restart systemd-resolved
done
