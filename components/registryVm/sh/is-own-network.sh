# is-own-network.sh NETWORK PROJECT: ends with 0 unless there is a network of that name that compose did not make for that
# project. Compose refuses to use one, after it has taken the containers down.
# shellcheck shell=sh
owner=$(docker network inspect --format '{{index .Labels "com.docker.compose.project"}}' "$1" 2>/dev/null) || exit 0
[ "$owner" = "$2" ] || {
	echo "it belongs to ${owner:-nobody}, and these containers are on it: $(docker network inspect --format '{{range .Containers}}{{.Name}} {{end}}' "$1")"
	exit 1
}
