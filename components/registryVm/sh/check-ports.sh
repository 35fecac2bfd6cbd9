# check-ports.sh FOLDER IMAGE HEADER [NAME PORT HOSTNAME ...]: a check of the FileSet. Asks the registries that run who
# they are, through a second nginx that has the staged files and publishes no port. HOSTNAME is empty for a cache. A
# registry that is down is not judged: that is for the verification to say, once everything is up.
# shellcheck shell=sh
folder=$1 image=$2 header=$3
shift 3

# value NAME: of that header, of the last answer on standard input.
value() {
	NAME=$1 awk 'index(tolower($0), tolower(ENVIRON["NAME"]) ": ") == 1 { found = substr($0, length(ENVIRON["NAME"]) + 3) }
		END { print found }'
}

compose=$folder/docker-compose.yml certificate=$folder/tls/fullchain.pem container=check-nginx

addresses() {
	grep ipv4_address "$1"
}

docker network inspect registry >/dev/null 2>&1 || exit 0 # The first update: there is nobody to ask yet.
[ -f "$compose" ] || exit 0
[ "$(addresses "$compose")" = "$(addresses "$(staged "$compose")")" ] || exit 0 # Who is where changes with it.
docker rm --force "$container" >/dev/null 2>&1 || true                          # Of an update that was killed.
docker run --detach --name "$container" --network registry \
	--volume "$(staged "$folder/nginx.conf"):/etc/nginx/nginx.conf:ro" \
	--volume "$(staged "$certificate"):/etc/nginx/tls/fullchain.pem:ro" \
	--volume "$(staged "$folder/tls/privkey.pem"):/etc/nginx/tls/privkey.pem:ro" "$image" >/dev/null
address=$(docker inspect --format '{{.NetworkSettings.Networks.registry.IPAddress}}' "$container")
wrong=0

# ask NAME STATUS URL [curl options]
ask() {
	wanted="$2 $1" url=$3
	shift 3
	answer=$(curl --silent --show-error --output /dev/null --dump-header - --max-time 5 \
		--retry 5 --retry-connrefused --retry-delay 1 "$@" "$url" 2>&1 | tr -d '\r') || true
	# What came last counts: curl tells of its earlier tries, too.
	status=$(printf '%s\n' "$answer" | sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p' | tail -n 1)
	seen="$status $(printf '%s\n' "$answer" | value "$header")"
	case $status in
	502 | 504) ;;
	*) [ "$seen" = "$wanted" ] || { wrong=1 && echo "$url should answer $wanted, but answers $seen"; } ;;
	esac
}

while [ $# -gt 0 ]; do
	if [ -z "$3" ]; then
		ask "$1" 200 "http://$address:$2/v2/"
	else
		ask "$1" 401 "https://$3:$2/v2/" --resolve "$3:$2:$address" --cacert "$(staged "$certificate")"
	fi
	shift 3
done
docker rm --force "$container" >/dev/null
exit "$wrong"
