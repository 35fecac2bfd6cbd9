/** Who judges the registry VM's files before they become live: the programs that will read them. */
import type { Check } from "../../host/fileSetSchema.ts";
import { shellScript, table } from "../../host/shell.ts";
import type { RegistryVmSettings } from "./args.ts";
import { BOUNCE } from "./bounce.ts";
import { registries } from "./registries.ts";
import { IDENTITY_HEADER } from "./registryConfig.ts";
import { UNIT } from "./unit.ts";

const FOLDER = "/opt/registry";
const COMPOSE = `${FOLDER}/docker-compose.yml`;

const script = (name: string) => shellScript(import.meta.url, name);

export function checks({ role, images }: RegistryVmSettings): Check[] {
	const all = registries(role);
	const tls = role.private ? ["tls/fullchain.pem", "tls/privkey.pem"] : [];
	const nginx = ["nginx.conf", ...tls].map((name) => `${FOLDER}/${name}`);
	const unit = `/etc/systemd/system/${UNIT}`;
	const mounts = all.map(({ kind, name }) => [
		[`${FOLDER}/config-${name}.yml`, "/etc/docker/registry/config.yml"],
		...(kind === "private" ? [[`${FOLDER}/htpasswd`, "/auth/htpasswd"]] : []),
	]);
	return [
		{
			name: "docker compose config refuses docker-compose.yml",
			script: `docker compose --file "$(staged ${COMPOSE})" config --quiet`,
			files: [COMPOSE],
		},
		{
			name: "nginx -t refuses nginx.conf or its certificate",
			script: script("check-nginx.sh"),
			args: [images.nginx, FOLDER, ...tls],
			files: [COMPOSE, ...nginx],
		},
		{
			name: "nginx.conf leads a port to the wrong registry",
			script: script("check-ports.sh"),
			args: [
				...[FOLDER, images.nginx, IDENTITY_HEADER],
				...all.flatMap((one) => [one.name, `${one.port}`, one.kind === "private" ? one.hostname : ""]),
			],
			files: nginx,
		},
		{
			name: "a registry does not serve with what it would read",
			script: script("check-registries.sh"),
			args: [
				...[images.registry, IDENTITY_HEADER],
				...all.flatMap(({ kind, name }, i) => [name, kind === "private" ? "401" : "200", table(mounts[i] ?? [])]),
			],
			files: [COMPOSE, ...mounts.flat().map(([path]) => path as string)],
		},
		{ name: `systemd refuses ${UNIT}`, script: script("check-unit.sh"), args: [unit], files: [unit] },
		{
			name: "logrotate refuses its configuration",
			script: 'logrotate --debug "$(staged /etc/logrotate.d/registry)"',
			files: ["/etc/logrotate.d/registry"],
		},
		{
			name: "Node.js refuses upkeep.mjs",
			script: 'node --check --input-type=module <"$(staged /opt/registry/upkeep.mjs)"',
			files: ["/opt/registry/upkeep.mjs"],
		},
		{ name: "sh refuses bounce.sh", script: `sh -n "$(staged ${BOUNCE})"`, files: [BOUNCE] },
	];
}
