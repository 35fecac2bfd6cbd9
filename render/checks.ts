/** Who judges the registry VM's files before they become live: the programs that will read them. */
import type { Config } from "../config.ts";
import { BOUNCE } from "./bounce.ts";
import { registries } from "./registries.ts";
import { IDENTITY_HEADER } from "./registryConfig.ts";
import { UNIT } from "./unit.ts";

/** `$(staged PATH)` is where the new content of PATH is, or PATH itself where that doesn't change. */
interface Check {
	name: string;
	run: string;
	files: string[];
}

/**
 * Asks the registries that run who they are, through a second nginx that has the staged files and publishes no port.
 * Who doesn't answer is not judged: that is for the verification to say, once everything is up.
 */
function identities(config: Config, compose: string, stagedNginx: string): string {
	const questions = registries(config).map(({ kind, name, port }) => {
		return `ask ${name} ${port} ${kind === "private" ? "https" : "http"}`;
	});
	return `docker network inspect registry >/dev/null 2>&1 || exit 0 # The first update: there is nobody to ask yet.
addresses() { grep ipv4_address "$1"; }
[ "$(addresses ${compose})" = "$(addresses "$(staged ${compose})")" ] || exit 0 # Who is where changes with it.
nginx=$(docker run --rm --detach --network registry ${stagedNginx})
address=$(docker inspect --format '{{.NetworkSettings.Networks.registry.IPAddress}}' "$nginx")
wrong=0
ask() {
	seen=$(curl --silent --insecure --output /dev/null --dump-header - --max-time 5 --retry 5 --retry-connrefused --retry-delay 1 "$3://$address:$2/v2/" |
		tr -d '\\r' | sed -n 's/^${IDENTITY_HEADER}: //p') || true
	case $seen in
	"" | "$1") ;;
	*) wrong=1 && echo "port $2 should lead to registry $1, but leads to $seen" ;;
	esac
}
${questions.join("\n")}
docker rm --force "$nginx" >/dev/null
exit "$wrong"`;
}

export function checks(config: Config): Check[] {
	const compose = "/opt/registry/docker-compose.yml";
	const nginx = ["/opt/registry/nginx.conf", "/opt/registry/tls/fullchain.pem", "/opt/registry/tls/privkey.pem"];
	const stagedNginx = `${nginx.map((path) => `--volume "$(staged ${path}):${path.replace("/opt/registry", "/etc/nginx")}:ro"`).join(" ")} ${config.images.nginx}`;
	const unit = `/etc/systemd/system/${UNIT}`;
	return [
		{
			name: "docker compose config refuses docker-compose.yml",
			run: `docker compose --file "$(staged ${compose})" config --quiet`,
			files: [compose],
		},
		{
			name: "nginx -t refuses nginx.conf or its certificate",
			run: `docker run --rm --network none ${stagedNginx} nginx -t`,
			files: nginx,
		},
		{
			name: "nginx.conf leads a port to the wrong registry",
			run: identities(config, compose, stagedNginx),
			files: ["/opt/registry/nginx.conf"],
		},
		// The registry has no way to only read its config; a collection that only looks, over an empty store, reads it.
		...registries(config).map(({ name }) => ({
			name: `the registry refuses config-${name}.yml`,
			run: `store=$(mktemp -d /run/check.XXXXXX)
mkdir -p "$store/docker/registry/v2/repositories" "$store/docker/registry/v2/blobs/sha256"
status=0
docker run --rm --network none --volume "$store:/var/lib/registry" \\
	--volume "$(staged /opt/registry/config-${name}.yml):/config.yml:ro" \\
	${config.images.registry} garbage-collect --dry-run /config.yml || status=$?
rm -rf "$store"
exit "$status"`,
			files: [`/opt/registry/config-${name}.yml`],
		})),
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
