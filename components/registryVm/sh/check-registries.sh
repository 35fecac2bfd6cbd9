# check-registries.sh IMAGE HEADER [NAME STATUS MOUNTS ...]: a check of the FileSet. Starts every registry that would be
# recreated, with what it would then read and an empty store, and asks it who it is: a registry has no way to only check
# its config, and a cache that doesn't reach its upstream does not even start. HEADER is the one in which a registry
# names itself. MOUNTS has a line for each file: its path on the host, a tab, its path in the container.
# shellcheck shell=sh
image=$1 header=$2
shift 2

# value NAME: of that header, of the last answer on standard input.
value() {
	NAME=$1 awk 'index(tolower($0), tolower(ENVIRON["NAME"]) ": ") == 1 { found = substr($0, length(ENVIRON["NAME"]) + 3) }
		END { print found }'
}

tab=$(printf '\t')

# stays NAME MOUNTS: the registry would not be recreated, or not because of its image or these files.
stays() {
	[ "$(docker inspect --format '{{.Config.Image}}' "registry-$1" 2>/dev/null)" = "$image" ] || return 1
	while IFS="$tab" read -r path _; do
		[ "$(staged "$path")" = "$path" ] || return 1
	done <<EOF_MOUNTS
$2
EOF_MOUNTS
}

# serves NAME STATUS MOUNTS: prints what is wrong where it does not.
serves() {
	name=$1 wanted="$2 $1" container=check-$1 mounts=$3 seen='' tries=0
	docker rm --force "$container" >/dev/null 2>&1 || true # Of an update that was killed.
	set --
	while IFS="$tab" read -r path target; do
		set -- "$@" --volume "$(staged "$path"):$target:ro"
	done <<EOF_MOUNTS
$mounts
EOF_MOUNTS
	# One that ends without a word of what is wrong says how far it came: its own config has it say less.
	docker run --detach --name "$container" --env REGISTRY_LOG_LEVEL=info --tmpfs /var/lib/registry "$@" "$image" >/dev/null
	address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$container")
	while [ "$tries" -lt 30 ] && [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ]; do
		answer=$(curl --silent --output /dev/null --dump-header - --max-time 5 "http://$address:5000/v2/" | tr -d '\r') || true
		seen="$(printf '%s\n' "$answer" | sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p') $(printf '%s\n' "$answer" | value "$header")"
		[ "$seen" != "$wanted" ] || break
		tries=$((tries + 1))
		sleep 0.5
	done
	said=$(docker logs "$container" 2>&1 | grep -v 'level=info' | grep -iE 'panic|fatal|error' | head -n 3) || true
	[ -n "$said" ] || said=$(docker logs --tail 3 "$container" 2>&1)
	docker rm --force "$container" >/dev/null
	[ "$seen" = "$wanted" ] || {
		printf 'registry %s: %s\n' "$name" "$said"
		return 1
	}
}

pids=
while [ $# -gt 0 ]; do
	# Each of them in a process of its own, side by side.
	{ stays "$1" "$3" || serves "$1" "$2" "$3"; } &
	pids="$pids $!"
	shift 3
done
wrong=0
for pid in $pids; do wait "$pid" || wrong=1; done
exit "$wrong"
