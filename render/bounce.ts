/** The commands that make changed files take effect on the registry VM, and see that they did. */
import type { Config } from "../config.ts";
import { COMPOSE_PROJECT } from "./compose.ts";
import { type Registry, registries } from "./registries.ts";
import { IDENTITY_HEADER } from "./registryConfig.ts";

/** How long a container may take to become healthy, in seconds. */
const HEALTHY_SECONDS = 180;

/** Brings the compose project to what its file says; only what differs is recreated, and that is printed. */
export const composeUp = `set -eu
cd /opt/registry
containers() {
	docker compose ps --all --format '{{.Name}} {{.ID}}'
}
before=$(containers)
docker compose --progress quiet up --detach --remove-orphans --wait --wait-timeout ${HEALTHY_SECONDS}
containers | while read -r name id; do
	case $before in
	*"$name $id"*) ;;
	*) echo "recreated $name" ;;
	esac
done`;

/** Stops the compose project; the data stays. */
export const composeDown = `set -eu
if [ -f /opt/registry/docker-compose.yml ]; then
	docker compose --project-directory /opt/registry down
else
	docker compose --project-name ${COMPOSE_PROJECT} down
fi`;

/** A restart, not a reload: a file that was replaced by rename is still the old one in a running container. */
export const nginxRestart = "docker restart registry-nginx >/dev/null && echo restarted registry-nginx";

/**
 * Asks every port on the VM who it is; fails with a line for each one that is silent or somebody else.
 * Reads the private registry's `credentials` from standard input. On success it records
 * the given revisions (by group) as verified, which settles the debt in the FileSet's records.
 */
export function verification(config: Config, fileSet: string, revisions: Record<string, string>): string {
	const records = `/var/lib/pulumi-host/${fileSet}`;
	const settle = Object.entries(revisions).map(([group, revision]) => `settle ${group} ${revision}`);
	return `set -eu
read -r credentials
login=
broken=0
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
settle() {
	mkdir -p ${records}/verified
	echo "$2" >"${records}/verified/.$1"
	sync "${records}/verified/.$1"
	mv -f "${records}/verified/.$1" "${records}/verified/$1"
}
${registries(config).map(questions).join("\n")}
[ "$broken" -eq 0 ] || exit 1
${settle.join("\n")}`;
}

function questions(registry: Registry): string {
	if (registry.kind === "cache") return `ask ${registry.name} 200 http://127.0.0.1:${registry.port}/v2/`;
	const url = `https://${registry.hostname}:${registry.port}/v2/`;
	const trust = `--resolve ${registry.hostname}:${registry.port}:127.0.0.1 --cacert /opt/registry/tls/fullchain.pem`;
	return `ask ${registry.name} 401 ${url} ${trust}
login=$credentials
ask ${registry.name} 200 ${url} ${trust}
login=`;
}

/** What `verification` reads from standard input: a line of curl's config syntax. */
export function credentials({ registryUser, registryPassword }: Config): string {
	return `user = "${`${registryUser}:${registryPassword}`.replace(/[\\"]/g, "\\$&")}"\n`;
}
