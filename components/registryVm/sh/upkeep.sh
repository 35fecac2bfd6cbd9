#!/bin/sh
# Managed by Pulumi: a change made here by hand is undone by the next update.
#
# upkeep.sh COMMAND [ARGUMENT ...]: runs a command of upkeep.mjs. They take turns, whoever starts them; one that only
# looks (--dry-run) needs no turn.
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$folder/upkeep.env"

command=$1
shift
case " $* " in
*" --dry-run "*) turn= ;;
*) turn="flock --timeout 7200 /run/registry-upkeep.lock" ;;
esac
case $command in
fix-broken-blobs | repair) set -- --caches "$CACHES" "$@" ;;
garbage-collect)
	printf '%s\n' "$REGISTRIES" | grep -qxF -e "${1-}" || {
		echo "usage: garbage-collect.sh $(printf '%s' "$REGISTRIES" | tr '\n' '|') [--dry-run]" >&2
		exit 2
	}
	# systemd sees to it that the registry is started again, even where the collection is killed.
	turn="$turn systemd-run --quiet --wait --collect --pipe --property=ExecStopPost='/usr/bin/docker start registry-$1'"
	;;
esac
# Words of our own, of which one is quoted; the registry's name was found in the list.
eval "exec $turn node \"\$folder/upkeep.mjs\" \"\$command\" --private \"\$PRIVATE\" \"\$@\""
