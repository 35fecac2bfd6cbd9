/** Who judges the registry VM's files before they become live: the programs that will read them. */
import type { Config } from "../../config.ts";
import { BOUNCE } from "./bounce.ts";
import { registries } from "./registries.ts";
import { IDENTITY_HEADER } from "./registryConfig.ts";
import { UNIT } from "./unit.ts";

/** As provider/resources.ts has it. */
export interface Check {
	name: string;
	run: string;
	files: string[];
}

const COMPOSE = "/opt/registry/docker-compose.yml";
const CERTIFICATE = "/opt/registry/tls/fullchain.pem";

/** Mounts what is staged of a path, where the container looks for it. */
const mount = (path: string, target: string) => `--volume "$(staged ${path}):${target}:ro"`;

/**
 * Starts every registry that would be recreated, with what it would then read and an empty store, and asks it who it
 * is: a registry has no way to only check its config, and a cache that doesn't reach its upstream does not even start.
 */
function served(config: Config): Check {
	const all = registries(config).map(({ kind, name }) => {
		const read = {
			[`/opt/registry/config-${name}.yml`]: "/etc/docker/registry/config.yml",
			...(kind === "private" && { "/opt/registry/htpasswd": "/auth/htpasswd" }),
		};
		const mounts = Object.entries(read).map(([path, target]) => mount(path, target));
		return {
			paths: Object.keys(read),
			start: `stays ${name} ${Object.keys(read).join(" ")} || serve ${name} ${kind === "private" ? 401 : 200} ${mounts.join(" ")}`,
		};
	});
	return {
		name: "a registry does not serve with what it would read",
		run: `stays() {
	[ "$(docker inspect --format '{{.Config.Image}}' "registry-$1" 2>/dev/null)" = ${config.images.registry} ] || return 1
	shift
	for path in "$@"; do [ "$(staged "$path")" = "$path" ] || return 1; done
}
serve() {
	name=$1 wanted="$2 $1" container=check-$1 seen= tries=0
	shift 2
	docker rm --force "$container" >/dev/null 2>&1 || true # Of an update that was killed.
	docker run --detach --name "$container" --tmpfs /var/lib/registry "$@" ${config.images.registry} >/dev/null
	address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$container")
	while [ "$tries" -lt 30 ] && [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ]; do
		seen=$(curl --silent --output /dev/null --max-time 5 --write-out '%{http_code} %header{${IDENTITY_HEADER}}' "http://$address:5000/v2/") || true
		[ "$seen" != "$wanted" ] || break
		tries=$((tries + 1))
		sleep 0.5
	done
	said=$(docker logs "$container" 2>&1 | grep -iE 'panic|fatal|error' | head -n 3)
	[ -n "$said" ] || said=$(docker logs --tail 3 "$container" 2>&1)
	docker rm --force "$container" >/dev/null
	[ "$seen" = "$wanted" ] || { echo "registry $name: $said" && return 1; }
}
pids=
wrong=0
${all.map(({ start }) => `{ ${start}; } & pids="$pids $!"`).join("\n")}
for pid in $pids; do wait "$pid" || wrong=1; done
exit "$wrong"`,
		files: [COMPOSE, ...all.flatMap(({ paths }) => paths)],
	};
}

/**
 * Asks the registries that run who they are, through a second nginx that has the staged files and publishes no port.
 * A registry that is down is not judged: that is for the verification to say, once everything is up.
 */
function led(config: Config, stagedNginx: string): string {
	const questions = registries(config).map((registry) => {
		if (registry.kind === "cache") return `ask ${registry.name} 200 http://$address:${registry.port}/v2/`;
		const { name, hostname, port } = registry;
		return `ask ${name} 401 https://${hostname}:${port}/v2/ --resolve "${hostname}:${port}:$address" --cacert "$(staged ${CERTIFICATE})"`;
	});
	return `docker network inspect registry >/dev/null 2>&1 || exit 0 # The first update: there is nobody to ask yet.
addresses() { grep ipv4_address "$1"; }
[ "$(addresses ${COMPOSE})" = "$(addresses "$(staged ${COMPOSE})")" ] || exit 0 # Who is where changes with it.
docker rm --force check-nginx >/dev/null 2>&1 || true # Of an update that was killed.
docker run --detach --name check-nginx --network registry ${stagedNginx} >/dev/null
address=$(docker inspect --format '{{.NetworkSettings.Networks.registry.IPAddress}}' check-nginx)
wrong=0
ask() {
	name=$1 wanted="$2 $1" url=$3
	shift 3
	seen=$(curl --silent --show-error --output /dev/null --max-time 5 --retry 5 --retry-all-errors --retry-delay 1 \
		--write-out '%{http_code} %header{${IDENTITY_HEADER}}' "$@" "$url" 2>&1) || true
	case $seen in
	*"$wanted" | *"502 " | *"504 ") ;; # After what curl said of earlier tries.
	*) wrong=1 && echo "$url should answer $wanted, but answers $seen" ;;
	esac
}
${questions.join("\n")}
docker rm --force check-nginx >/dev/null
exit "$wrong"`;
}

export function checks(config: Config): Check[] {
	const nginx = ["/opt/registry/nginx.conf", CERTIFICATE, "/opt/registry/tls/privkey.pem"];
	const stagedNginx = `${nginx.map((path) => mount(path, path.replace("/opt/registry", "/etc/nginx"))).join(" ")} ${config.images.nginx}`;
	const unit = `/etc/systemd/system/${UNIT}`;
	return [
		{
			name: "docker compose config refuses docker-compose.yml",
			run: `docker compose --file "$(staged ${COMPOSE})" config --quiet`,
			files: [COMPOSE],
		},
		{
			name: "nginx -t refuses nginx.conf or its certificate",
			run: `docker run --rm --network none ${stagedNginx} nginx -t`,
			files: [COMPOSE, ...nginx],
		},
		{ name: "nginx.conf leads a port to the wrong registry", run: led(config, stagedNginx), files: nginx },
		served(config),
		{
			name: `systemd refuses ${UNIT}`,
			run: `folder=$(mktemp -d /run/check.XXXXXX)
cp "$(staged ${unit})" "$folder/${UNIT}"
status=0
systemd-analyze verify "$folder/${UNIT}" || status=$?
rm -rf "$folder"
exit "$status"`,
			files: [unit],
		},
		{
			name: "logrotate refuses its configuration",
			run: 'logrotate --debug "$(staged /etc/logrotate.d/registry)"',
			files: ["/etc/logrotate.d/registry"],
		},
		{
			name: "Node.js refuses upkeep.mjs",
			run: 'node --check --input-type=module <"$(staged /opt/registry/upkeep.mjs)"',
			files: ["/opt/registry/upkeep.mjs"],
		},
		{ name: "sh refuses bounce.sh", run: `sh -n "$(staged ${BOUNCE})"`, files: [BOUNCE] },
	];
}
