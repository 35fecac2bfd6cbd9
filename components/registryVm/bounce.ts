/** What makes changed files take effect on the registry VM, sees that they did, and goes back if they didn't. */
import type { Config } from "../../config.ts";
import { COMPOSE_PROJECT, containerNames } from "./compose.ts";
import { type Registry, registries } from "./registries.ts";
import { IDENTITY_HEADER } from "./registryConfig.ts";
import { UNIT } from "./unit.ts";

/** Names the records of the VM's FileSet, which tell what was last verified. */
export const FILE_SET = "registry";

/** How long a container may take to become healthy, in seconds. */
const HEALTHY_SECONDS = 120;

/** Where the script is on the VM; it holds no secret. */
export const BOUNCE = "/opt/registry/bounce.sh";

/** `bounce.sh`: run by the program's Commands, and by an operator. */
export function bounce(config: Config): string {
	return `#!/bin/sh
# Managed by Pulumi: a change made here by hand is undone by the next update.
#
#   bounce.sh compose                      bring the containers to what docker-compose.yml says
#   bounce.sh nginx                        restart nginx, which then reads its files anew
#   bounce.sh verify [GROUP=REVISION ...]  ask every port who it is; if all is well, these revisions are settled.
#                                          Standard input: a line of curl's config with the private registry's
#                                          user, or nothing
#   bounce.sh systemd GROUP=REVISION       make systemd read and enable the unit
#   bounce.sh recover                      all of it, for files that were just put back
#   bounce.sh down                         stop the containers; the data stays
#
# When compose, nginx or verify fails, the files that were last verified are put back and bounced.
set -eu

records=/var/lib/pulumi-host/${FILE_SET}
declared=" ${containerNames(config).join(" ")} "

containers() {
	docker compose ps --all --format '{{.Name}} {{.ID}}'
}

fail() {
	echo "$1" >&2
	exit 1
}

bring_up() {
	said=$(docker compose --progress quiet up --detach --remove-orphans --wait --wait-timeout ${HEALTHY_SECONDS} 2>&1)
}

compose() {
	cd /opt/registry
	# At boot the unit does the same, and two at once get in each other's way. What it can't do is tried again below.
	[ "$(systemctl is-active ${UNIT})" != activating ] || systemctl start ${UNIT} || true
	# What sits on our names or our network without being declared would be in the way, or be served.
	docker ps --all --format '{{.Names}}|{{.Label "com.docker.compose.project"}}|{{.Networks}}' |
		while IFS='|' read -r name project networks; do
			case $declared in
			*" $name "*) [ "$project" != ${COMPOSE_PROJECT} ] || continue ;;
			*) [ "$networks" = registry ] || continue ;;
			esac
			docker rm --force "$name" >/dev/null
			echo "removed $name, which is not of this project"
		done
	before=$(containers)
	said=
	if ! bring_up; then
		port=$(echo "$said" | sed -n 's/.*Bind for .*:\\([0-9]*\\) failed: port is already allocated.*/\\1/p' | head -n 1)
		if [ -z "$port" ] || [ -n "$(docker ps --quiet --filter "publish=$port")" ]; then fail "$said"; fi
		echo "Docker holds port $port for a container that is gone, as it may after a power cut; restarting Docker"
		systemctl restart docker
		systemctl start ${UNIT} || true # It goes down and up with Docker; wait for it, as at boot.
		bring_up || fail "$said"
	fi
	[ -z "$said" ] || echo "$said"
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

# ask NAME STATUS URL [curl options]: notes it where somebody else answers, or nobody.
ask() {
	name=$1 status=$2 url=$3
	shift 3
	tries=0
	while :; do
		# Credentials go through a pipe: not into a file, not into the process list.
		answer=$(printf '%s\\n' "$login" | curl -sS -o /dev/null -D - --max-time 10 --config - "$@" "$url" 2>&1 | tr -d '\\r') || true
		seen="$(echo "$answer" | sed -n 's/^HTTP[^ ]* \\([0-9]*\\).*/\\1/p') $(echo "$answer" | sed -n 's/^${IDENTITY_HEADER}: //p')"
		[ "$seen" != "$status $name" ] || return 0
		# nginx was restarted a moment ago.
		tries=$((tries + 1))
		[ "$tries" -lt 20 ] || break
		sleep 0.5
	done
	broken=1
	echo "$url should answer $status as registry $name, but: $(echo "$answer" | grep -E '^(HTTP/|${IDENTITY_HEADER}|curl)' | tr '\\n' ' ')" >&2
}

verify() {
	read -r credentials || credentials=
	login=
	broken=0
${registries(config).map(questions).join("\n")}
	[ "$broken" -eq 0 ] || exit 1
	settle "$@"
}

# settle GROUP=REVISION ...: these were bounced and verified, so nothing is owed any more.
settle() {
	sh /var/lib/pulumi-host/fileset.sh settle ${FILE_SET} "$@"
}

systemd() {
	systemctl daemon-reload
	systemctl --quiet enable --now ${UNIT}
	settle "$@"
}

recover() {
	compose
	nginx
	set --
	for file in "$records"/revisions/*; do set -- "$@" "$(basename "$file")=$(cat "$file")"; done
	verify "$@" </dev/null
}

down() {
	systemctl --quiet disable ${UNIT} 2>/dev/null || true
	docker compose --project-directory /opt/registry down
}

back_out() {
	echo "$1 failed; putting back the files that were last verified" >&2
	if ! restored=$(sh /var/lib/pulumi-host/fileset.sh undo ${FILE_SET}); then
		echo "the host is as the failed update left it; correct the config and update again" >&2
		exit 1
	fi
	echo "put back: $(echo "$restored" | tr '\\n' ' ')" >&2
	if sh ${BOUNCE} recover >&2; then
		echo "the files that were last verified are live again, and every port answers as it should" >&2
	else
		echo "they do not come up either; see docs/runbooks/registry-vm.md" >&2
	fi
	exit 1
}

action=$1
shift
case $action in
try-*) "\${action#try-}" "$@" ;;
compose | nginx | verify) sh "$0" "try-$action" "$@" || back_out "$action" ;;
systemd | recover | down) "$action" "$@" ;;
*)
	echo "bounce.sh: unknown action $action" >&2
	exit 2
	;;
esac
`;
}

function questions(registry: Registry): string {
	if (registry.kind === "cache") return `	ask ${registry.name} 200 http://127.0.0.1:${registry.port}/v2/`;
	const url = `https://${registry.hostname}:${registry.port}/v2/`;
	const trust = `--resolve ${registry.hostname}:${registry.port}:127.0.0.1 --cacert /opt/registry/tls/fullchain.pem`;
	return `	ask ${registry.name} 401 ${url} ${trust}
	login=$credentials
	[ -z "$login" ] || ask ${registry.name} 200 ${url} ${trust}
	login=`;
}

/** What `bounce.sh verify` reads from standard input. */
export function credentials({ registryUser, registryPassword }: Config): string {
	return `user = "${`${registryUser}:${registryPassword}`.replace(/[\\"]/g, "\\$&")}"\n`;
}
