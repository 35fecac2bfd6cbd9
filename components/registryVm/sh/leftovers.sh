# leftovers.sh list|remove PROJECT NETWORK [FILE_SET GROUP=REVISION]: what an older compose file of the project left, a
# line each: networks that compose no longer names, and what nginx no longer keeps in its volume. `remove` takes it away,
# and records that this revision is settled.
# shellcheck shell=sh
set -eu
action=$1 project=$2 network=$3
tab=$(printf '\t')
command -v docker >/dev/null || exit 0

# A network that a container of somebody else's is on is no leftover. The dollar signs are Docker's.
networks() {
	docker network ls --filter "label=com.docker.compose.project=$project" --format '{{.Name}}' | while read -r name; do
		[ "$name" != "$network" ] || continue
		strangers=$(docker network inspect --format '{{range $id, $_ := .Containers}}{{println $id}}{{end}}' "$name" |
			xargs --no-run-if-empty docker inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' |
			grep -cvxF -e "$project") || true
		[ "$strangers" -ne 0 ] || printf 'network\t%s\n' "$name"
	done
}

# What nginx itself has there: its cache, and what Debian's and the official image make for bodies that are under way.
folders() {
	volume=$(docker volume inspect --format '{{.Mountpoint}}' "${project}_nginx-cache" 2>/dev/null) || return 0
	find "$volume" -mindepth 1 -maxdepth 1 ! -name blobs ! -name '*_temp' -printf 'folder\t%p\n' | LC_ALL=C sort
}

list() {
	networks
	folders
}

if [ "$action" = list ]; then
	list | tr "$tab" ' '
	exit 0
fi
list | while IFS="$tab" read -r kind what; do
	case $kind in
	network)
		docker network rm "$what" >/dev/null || exit 1
		echo "removed the network $what"
		;;
	folder)
		size=$(du -sh "$what" | cut -f 1)
		rm -rf "$what" || exit 1
		echo "removed $what, which had $size"
		;;
	esac
done
sh /var/lib/pulumi-host/fileset.sh settle "$4" "$5"
