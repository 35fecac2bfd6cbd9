# containers.sh PROJECT NETWORK [NAME ...]: prints every container that has one of the names, or is of the project, or is
# on the network alone: its name, its image and whether it runs.
# shellcheck shell=sh
wanted_project=$1 wanted_network=$2
shift 2
names=$(printf '%s\n' "$@")
docker ps --all --format '{{.Names}}|{{.Label "com.docker.compose.project"}}|{{.Networks}}|{{.Image}}|{{.State}}' |
	while IFS='|' read -r name project networks image state; do
		printf '%s\n' "$names" | grep -qxF -e "$name" ||
			[ "$project" = "$wanted_project" ] || [ "$networks" = "$wanted_network" ] || continue
		printf '%s %s %s\n' "$name" "$image" "$state"
	done | LC_ALL=C sort
