#!/bin/sh
# Managed by Pulumi: a change made here by hand is undone by the next update.
#
# upkeep.sh COMMAND [ARGUMENT ...]: runs a command of upkeep.mjs. They take turns, whoever starts them; one that only
# looks (--dry-run, measure) needs no turn.
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$folder/upkeep.env"

command=$1
shift
registry=${1-}
case " $command $* " in
" measure "* | *" --dry-run "*) looks=yes ;;
*) looks= ;;
esac
case $command in
cleanup-tags) set -- --caches "$CACHES" --max-sizes "$MAX_SIZES" "$@" ;;
fix-broken-blobs | repair) set -- --caches "$CACHES" "$@" ;;
measure) set -- --scan "$SCAN_METRICS" --caches "$COUNTING" "$VM_METRICS" ;;
garbage-collect)
	printf '%s\n' "$REGISTRIES" | grep -qxF -e "$registry" || {
		echo "usage: garbage-collect.sh $(printf '%s' "$REGISTRIES" | tr '\n' '|') [--dry-run]" >&2
		exit 2
	}
	;;
esac
set -- node "$folder/upkeep.mjs" "$command" --private "$PRIVATE" "$@"
# systemd sees to it that the registry is started again, even where the collection is killed.
[ "$command" != garbage-collect ] ||
	set -- systemd-run --quiet --wait --collect --pipe \
		"--property=ExecStopPost=/usr/bin/docker start registry-$registry" "$@"
[ -n "$looks" ] || set -- flock --timeout 7200 /run/registry-upkeep.lock "$@"
exec "$@"
