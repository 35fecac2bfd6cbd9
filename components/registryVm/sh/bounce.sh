#!/bin/sh
# Managed by Pulumi: a change made here by hand is undone by the next update.
#
#   bounce.sh compose                      bring the containers to what docker-compose.yml says
#   bounce.sh nginx                        restart nginx, which then reads its files anew
#   bounce.sh verify [GROUP=REVISION ...]  ask every port who it is; if all is well, these revisions are settled.
#                                          Standard input: a line of curl's config with the private registry's
#                                          user, or nothing
#   bounce.sh systemd GROUP=REVISION       make systemd read and enable the unit
#   bounce.sh recover                      all of it, for files that were just put back
#   bounce.sh as-found                     bring up what the compose file says that was there before this program was
#   bounce.sh down                         stop the containers; the data stays
#
# When compose, nginx or verify fails, the files are put back as they were before the update, and bounced.
# What differs from one VM to the next is in bounce.env, beside this file.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# Without it, the files are those of before this program.
# shellcheck source=/dev/null
[ ! -f "$here/bounce.env" ] || . "$here/bounce.env"
tab=$(printf '\t')

# How long a container may take to become healthy, in seconds, and for how long its own check is asked before that.
healthy_seconds=120
soon_seconds=15

fileset() {
	sh /var/lib/pulumi-host/fileset.sh "$@"
}

containers() {
	docker compose ps --all --format '{{.Name}} {{.ID}}'
}

fail() {
	printf '%s\n' "$1" >&2
	exit 1
}

is_declared() {
	printf '%s\n' "$CONTAINERS" | grep -qxF -e "$1"
}

start() {
	said=$(docker compose --progress quiet up --detach --remove-orphans "$@" 2>&1)
}

# Waits for Docker's own health checks.
bring_up() {
	start --wait --wait-timeout "$healthy_seconds" "$@"
}

# The same without that wait: Docker makes the first check seconds after a start, and nginx is down for so long. What this
# can't do is left to bring_up, which also tells why.
bring_up_soon() {
	# Makes a changed network anew, which an `up` of some services alone leaves half done.
	said=$(docker compose --progress quiet create --no-recreate 2>&1) || return 1
	others=$(docker compose config --services | grep -vx nginx) || return 1
	# A word each.
	# shellcheck disable=SC2086
	start --no-deps $others && answer $others && start --no-deps nginx && answer nginx
}

# answer SERVICE ...: waits until each passes its health check, where it has one.
answer() {
	deadline=$(($(date +%s) + soon_seconds))
	listed=$(docker compose ps --all --format '{{.Name}} {{.State}} {{.Health}}' "$@") || return 1
	printf '%s\n' "$listed" | while read -r name state health; do
		[ "$state" = running ] || exit 1
		case $health in healthy | '') continue ;; esac
		until is_well "$name"; do
			restarts=$(docker inspect --format '{{.RestartCount}}' "$name")
			if [ "$restarts" != 0 ] || [ "$(date +%s)" -ge "$deadline" ]; then exit 1; fi
			sleep 0.2
		done
	done
}

# is_well CONTAINER: makes its health check now.
is_well() {
	check=$(docker inspect --format '{{range .Config.Healthcheck.Test}}{{println .}}{{end}}' "$1")
	words=${check#*
}
	case $check in
	CMD-SHELL*) docker exec "$1" sh -c "$words" ;;
	*) printf '%s\n' "$words" | xargs docker exec "$1" ;;
	esac >/dev/null 2>&1
}

# stale: prints the containers that run with another content of a file than is there now. One that was changed in place
# and then put back by rename is still the changed one in a running container, and compose sees no reason to recreate it.
stale() {
	# The dollar signs are Docker's. nginx is restarted anyway.
	# shellcheck disable=SC2016
	docker compose ps --quiet | xargs --no-run-if-empty docker inspect --format \
		'{{$name := .Name}}{{$pid := .State.Pid}}{{range .Mounts}}{{if eq .Type "bind"}}{{println $name $pid .Source .Destination}}{{end}}{{end}}' |
		while read -r name pid source target; do
			if [ ! -f "$source" ] || [ "$name" = /registry-nginx ]; then continue; fi
			cmp -s "$source" "/proc/$pid/root$target" || printf '%s\n' "${name#/}"
		done | sort -u
}

compose() {
	cd "$here"
	# At boot the unit does the same, and two at once get in each other's way. What it can't do is tried again below.
	[ "$(systemctl is-active "$UNIT")" != activating ] || systemctl start "$UNIT" || true
	# What sits on our names or our network without being declared would be in the way, or be served.
	docker ps --all --format '{{.Names}}|{{.Label "com.docker.compose.project"}}|{{.Networks}}' |
		while IFS='|' read -r name owner networks; do
			if is_declared "$name"; then
				[ "$owner" != "$PROJECT" ] || continue
			else
				[ "$networks" = "$NETWORK" ] || continue
			fi
			docker rm --force "$name" >/dev/null
			echo "removed $name, which is not declared"
		done
	before=$(containers)
	said=
	if ! bring_up_soon && ! bring_up; then
		port=$(echo "$said" | sed -n 's/.*Bind for .*:\([0-9]*\) failed: port is already allocated.*/\1/p' | head -n 1)
		if [ -z "$port" ] || [ -n "$(docker ps --quiet --filter "publish=$port")" ]; then fail "$said"; fi
		echo "Docker holds port $port for a container that is gone, as it may after a power cut; restarting Docker"
		systemctl restart docker
		systemctl start "$UNIT" || true # It goes down and up with Docker; wait for it, as at boot.
		bring_up || fail "$said"
	fi
	stale=$(stale)
	# A word each.
	# shellcheck disable=SC2086
	[ -z "$stale" ] || bring_up --no-deps --force-recreate $stale || fail "$said"
	[ -z "$said" ] || printf '%s\n' "$said"
	containers | while read -r name id; do
		case $before in
		*"$name $id"*) ;;
		*) echo "recreated $name" ;;
		esac
	done
}

# A restart, not a reload: a file that was replaced by rename is still the old one in a running container.
nginx() {
	docker restart registry-nginx >/dev/null
	echo "restarted registry-nginx"
}

# value NAME: of that header, of the answer on standard input.
value() {
	NAME=$1 awk 'index(tolower($0), tolower(ENVIRON["NAME"]) ": ") == 1 { print substr($0, length(ENVIRON["NAME"]) + 3) }'
}

# ask NAME STATUS URL [curl options]: notes it where somebody else answers, or nobody.
ask() {
	name=$1 status=$2 url=$3
	shift 3
	tries=0
	while :; do
		# Credentials go through a pipe: not into a file, not into the process list.
		answer=$(printf '%s\n' "$login" | curl -sS -o /dev/null -D - --max-time 10 --config - "$@" "$url" 2>&1 | tr -d '\r') || true
		seen="$(echo "$answer" | sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p') $(echo "$answer" | value "$IDENTITY_HEADER")"
		[ "$seen" != "$status $name" ] || return 0
		# nginx was restarted a moment ago.
		tries=$((tries + 1))
		[ "$tries" -lt 20 ] || break
		sleep 0.5
	done
	broken=1
	echo "$url should answer $status as registry $name, but: $(echo "$answer" | grep -e '^HTTP/' -e '^curl' -e "^$IDENTITY_HEADER" | tr '\n' ' ')" >&2
}

verify() {
	read -r credentials || credentials=
	login=
	broken=0
	while IFS="$tab" read -r registry port hostname; do
		if [ -z "$hostname" ]; then
			ask "$registry" 200 "http://127.0.0.1:$port/v2/"
			continue
		fi
		url=https://$hostname:$port/v2/
		ask "$registry" 401 "$url" --resolve "$hostname:$port:127.0.0.1" --cacert "$here/tls/fullchain.pem"
		login=$credentials
		[ -z "$login" ] ||
			ask "$registry" 200 "$url" --resolve "$hostname:$port:127.0.0.1" --cacert "$here/tls/fullchain.pem"
		login=
	done <<EOF_REGISTRIES
$REGISTRIES
EOF_REGISTRIES
	[ "$broken" -eq 0 ] || exit 1
	settle "$@"
}

# settle GROUP=REVISION ...: these were bounced and verified, so nothing is owed any more.
settle() {
	fileset settle "$FILE_SET" "$@"
}

systemd() {
	systemctl daemon-reload
	systemctl --quiet enable --now "$UNIT"
	settle "$@"
}

recover() {
	compose
	nginx
	revisions=$(fileset revisions "$FILE_SET")
	# A word each.
	# shellcheck disable=SC2086
	verify $revisions </dev/null
}

# Containers are made anew, as all that they mount was put back by rename. Nothing there says who has to answer where.
as_found() {
	cd "$here"
	systemctl daemon-reload
	docker compose --progress quiet up --detach --remove-orphans --force-recreate 2>&1 || return 1
	echo "what was there before the first update is up again, as its docker-compose.yml says; ask its ports yourself"
}

down() {
	systemctl --quiet disable "$UNIT" 2>/dev/null || true
	docker compose --project-directory "$here" down
	# What was measured of a VM that is none any more.
	rm -rf "$here/metrics"
}

back_out() {
	echo "$1 failed; putting back the files of before the update" >&2
	if ! restored=$(fileset undo "$FILE_SET"); then
		echo "the host is as the failed update left it; correct the config and update again" >&2
		exit 1
	fi
	echo "put back: $(echo "$restored" | tr '\n' ' ')" >&2
	if [ ! -f "$here/bounce.sh" ]; then
		as_found >&2 || echo "it does not come up; see docs/runbooks/take-over.md" >&2
		exit 1
	fi
	if sh "$here/bounce.sh" recover >&2; then
		echo "the files of before the update are live again, and every port answers as it should" >&2
	else
		echo "they do not come up either; see docs/runbooks/registry-vm.md" >&2
	fi
	exit 1
}

action=${1-}
[ $# -eq 0 ] || shift
case $action in
try-compose) compose ;;
try-nginx) nginx ;;
try-verify) verify "$@" ;;
compose | nginx | verify) sh "$0" "try-$action" "$@" || back_out "$action" ;;
systemd | recover | down) "$action" "$@" ;;
as-found) as_found ;;
*)
	echo "bounce.sh: unknown action $action" >&2
	exit 2
	;;
esac
