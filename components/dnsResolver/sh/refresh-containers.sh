#!/bin/sh
# refresh-containers.sh: restarts the containers that were started with other name servers than the host has now. One
# whose upstream does not answer would not start again, so it goes on as it is, and is named.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"
tab=$(printf '\t')

servers >"$servers_file.now"
if cmp -s "$servers_file.now" "$servers_file"; then
	rm "$servers_file.now"
else
	mv "$servers_file.now" "$servers_file"
fi
late=
while IFS="$tab" read -r name port upstream; do
	started=$(docker inspect --format '{{if .State.Running}}{{.State.StartedAt}}{{end}}' "$name" 2>/dev/null) || continue
	[ -n "$started" ] || continue
	if [ "$(date -d "$started" +%s)" -le "$(stat -c %Y "$servers_file")" ]; then
		if ! curl --silent --output /dev/null --max-time 10 "$upstream/v2/"; then
			late="$late $name"
			continue
		fi
		docker restart "$name" >/dev/null
		echo "restarted $name, which had the former name servers"
		tries=0
		until curl --silent --fail --output /dev/null --max-time 5 "http://127.0.0.1:$port/v2/"; do
			tries=$((tries + 1))
			[ "$tries" -lt 120 ] || fail "$name does not answer after its restart"
			sleep 0.5
		done
	fi
	pid=$(docker inspect --format '{{.State.Pid}}' "$name")
	ask_by "$(docker inspect --format '{{.ResolvConfPath}}' "$name")" "$EXTERNAL" nsenter --target "$pid" --net >/dev/null ||
		fail "$EXTERNAL does not resolve in $name"
done <<EOF_CONTAINERS
$CONTAINERS
EOF_CONTAINERS
[ -z "$late" ] ||
	fail "still with the former name servers, because their upstreams do not answer, and a cache does not start without:$late; run it again when they do"
