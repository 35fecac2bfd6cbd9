# containers.sh PROJECT NETWORK [NAME ...]: prints every container that has one of the names, or is of the project, or is
# on the network alone: its name, its image as it was asked for, and whether it runs.
# shellcheck shell=sh
command -v docker >/dev/null || exit 0
wanted_project=$1 wanted_network=$2
shift 2
names=$(printf '%s\n' "$@")
# docker ps would show an image by another of its names. The dollar signs are Docker's.
# shellcheck disable=SC2016
docker ps --all --quiet | xargs --no-run-if-empty docker inspect --format \
	'{{.Name}}|{{index .Config.Labels "com.docker.compose.project"}}|{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}|{{.Config.Image}}|{{.State.Status}}' |
	while IFS='|' read -r name project networks image state; do
		name=${name#/}
		printf '%s\n' "$names" | grep -qxF -e "$name" ||
			[ "$project" = "$wanted_project" ] || [ "$networks" = "$wanted_network " ] || continue
		printf '%s %s %s\n' "$name" "$image" "$state"
	done | LC_ALL=C sort
