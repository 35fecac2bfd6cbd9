#!/bin/sh
# failover.sh: drops what the primary server answers the host and its containers, and looks names up meanwhile: the
# answers that were dropped prove that the resolver asked. On the way out the resolver would learn at once that it may not send,
# which no dead server does. The block goes when the script ends, however it ends; where it can't, a timer takes it away.
#
# failover.sh unblock: takes the block away.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"

# How long the primary is kept away at most, and how long internal names may take to be back, in seconds.
expires=90
back_within=60

# What other hosts forward is not theirs: it may be everybody's DNS. So FORWARD only where there are containers of ours.
chains=INPUT
container=$(printf '%s\n' "$CONTAINERS" | head -n 1 | cut -f 1)
[ -z "$container" ] || chains="INPUT FORWARD"

# block -I|-D: sets it or takes it away.
block() {
	for chain in $chains; do
		for protocol in udp tcp; do
			iptables "$1" "$chain" -s "$PRIMARY" -p "$protocol" --sport 53 -j DROP
		done
	done
}

unblock() {
	block -D 2>/dev/null || true
	systemctl stop dns-failover.timer 2>/dev/null || true
}

if [ "${1-}" = unblock ]; then
	block -D
	exit 0
fi

forget() {
	[ "$KIND" != resolved ] || resolvectl flush-caches
}

now() {
	date +%s%3N
}

# look_up LABEL NAME: by whatever the host's programs use
look_up() {
	begin=$(now)
	answer=$(timeout 30 getent ahostsv4 -- "$2" | head -n 1 | cut -d ' ' -f 1) || true
	echo "$1: $2 is ${answer:-unknown}, after $(($(now) - begin)) ms"
}
dig_up() {
	command -v dig >/dev/null || return 0
	begin=$(now)
	answer=$(dig +short "$2" | tail -n 1) || true
	echo "$1, by dig: $2 is ${answer:-unknown}, after $(($(now) - begin)) ms"
}
# The same, in a container.
look_up_inside() {
	pid=$(docker inspect --format '{{.State.Pid}}' "$container")
	begin=$(now)
	answer=$(ask_by "$(docker inspect --format '{{.ResolvConfPath}}' "$container")" "$2" nsenter --target "$pid" --net | head -n 1 | cut -d ' ' -f 1) || true
	echo "$1, in $container: $2 is ${answer:-unknown}, after $(($(now) - begin)) ms"
}

for program in iptables unshare systemd-run; do
	command -v "$program" >/dev/null || fail "there is no $program here, and this needs it"
done
unblock # Of a run that was killed.

first=$(printf '%s\n' "$INTERNAL" | head -n 1)
while IFS= read -r name; do
	look_up "primary up" "$name"
	[ -n "$answer" ] || fail "$name does not resolve even with the primary up"
done <<EOF_NAMES
$INTERNAL
$EXTERNAL
EOF_NAMES
if [ -n "$container" ]; then
	look_up_inside "primary up" "$EXTERNAL"
	[ -n "$answer" ] || fail "$EXTERNAL does not resolve in $container even with the primary up"
fi
second=$(mktemp /run/dns-failover.XXXXXX)
trap 'rm -f "$second"' EXIT
printf 'nameserver %s\noptions timeout:3 attempts:1\n' "$FALLBACK" >"$second"
ask_by "$second" "$EXTERNAL" >/dev/null ||
	fail "the fallback $FALLBACK does not answer for $EXTERNAL: there is nothing to fail over to"
while IFS= read -r name; do
	if ask_by "$second" "$name" >/dev/null; then
		echo "split horizon: the fallback $FALLBACK knows $name, too"
	else
		said=$(command -v dig >/dev/null && dig "@$FALLBACK" "$name" +time=3 +tries=1 | sed -n 's/.*status: \([A-Z]*\),.*/\1/p') || true
		echo "split horizon: the fallback $FALLBACK does not know $name${said:+ ($said)}; who asks it takes that for the truth"
	fi
done <<EOF_NAMES
$INTERNAL
EOF_NAMES

trap 'unblock; rm -f "$second"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
systemd-run --quiet --collect --unit=dns-failover --on-active="$expires" --timer-property=AccuracySec=1s \
	sh "$here/failover.sh" unblock
block -I
forget
look_up "primary down" "$EXTERNAL"
found=$answer
look_up "once more" "$EXTERNAL"
dig_up "primary down" "$EXTERNAL"
look_up "primary down" "$first"
if [ -n "$container" ]; then
	forget
	look_up_inside "primary down" "$EXTERNAL"
	found_inside=$answer
fi
dropped() {
	iptables -L "$1" -v -n -x | awk -v primary="$PRIMARY" '$3 == "DROP" && $8 == primary { sum += $1 } END { print sum + 0 }'
}
dropped=$(dropped INPUT)
more=
[ -z "$container" ] ||
	more=", $(dropped FORWARD) more on their way to containers (none where Docker asks the host's resolver)"
unblock
back=$(date +%s)
[ "$dropped" -gt 0 ] || fail "$PRIMARY answered nothing meanwhile that could be dropped, so this proves nothing"
echo "$dropped packets from $PRIMARY were dropped$more"
[ -n "$found" ] || fail "$EXTERNAL did not resolve while the primary was down: there is no failover"
if [ -n "$container" ]; then
	[ -n "$found_inside" ] || fail "$EXTERNAL did not resolve in $container while the primary was down: there is no failover"
fi
until getent ahostsv4 -- "$first" >/dev/null; do
	[ "$(($(date +%s) - back))" -lt "$back_within" ] ||
		fail "$first does not resolve, although the primary is up again for $back_within seconds"
	sleep 1
done
echo "primary up again: $first was back after $(($(date +%s) - back)) s"
if [ -n "$container" ]; then
	look_up_inside "primary up again" "$first"
	[ -n "$answer" ] || fail "$first does not resolve in $container, although the primary is up again"
fi
