import { dirname } from "node:path";
import { stringify } from "yaml";
import type { RegistryVmSettings } from "./args.ts";
import { addressIn, metricsPorts, type Registry, registries } from "./registries.ts";
import { VM_METRICS } from "./upkeepFiles.ts";

/** The compose project's name, by which its containers are found whoever started them. */
export const COMPOSE_PROJECT = "registry";

/** The network on which the containers meet. */
export const NETWORK = "registry";

/**
 * `docker-compose.yml`. `digests` has, by service, a digest of the files that the service mounts:
 * compose recreates a container when its label changes, but not when a mounted file does.
 */
export function compose(
	{ role, images }: RegistryVmSettings,
	all: Registry[],
	digests: Record<string, string>,
): string {
	const onNetwork = (address?: string) => ({ [NETWORK]: address === undefined ? {} : { ipv4_address: address } });
	const nginxPosition = all.length + 10;
	return stringify(
		{
			name: COMPOSE_PROJECT,
			services: {
				...Object.fromEntries(
					all.map((registry) => [
						registry.service,
						{
							image: images.registry,
							container_name: registry.service,
							restart: "always",
							logging,
							environment: goEnvironment,
							labels: { "config.digest": digests[registry.service] },
							networks: onNetwork(registry.address),
							volumes: [
								`/opt/registry/data/${registry.name}:/var/lib/registry`,
								managed(`/opt/registry/config-${registry.name}.yml`, "/etc/docker/registry/config.yml"),
								...(registry.kind === "private" ? [managed("/opt/registry/htpasswd", "/auth/htpasswd")] : []),
							],
							healthcheck: healthcheck(registry),
						},
					]),
				),
				nginx: {
					image: images.nginx,
					container_name: "registry-nginx",
					restart: "always",
					logging,
					networks: onNetwork(addressIn(role, nginxPosition)),
					ports: [...all.map(({ port }) => port), ...metricsPorts(all)].map((port) => `${port}:${port}`),
					volumes: [
						managed("/opt/registry/nginx.conf", "/etc/nginx/nginx.conf"),
						...(role.private ? [managed("/opt/registry/tls", "/etc/nginx/tls")] : []),
						...(metricsPorts(all).length > 0 ? [`${dirname(VM_METRICS)}:/etc/nginx/metrics:ro`] : []),
						"nginx-cache:/var/cache/nginx",
					],
					healthcheck: nginxHealthcheck(all),
					depends_on: Object.fromEntries(all.map(({ service }) => [service, { condition: "service_healthy" }])),
				},
				"registry-ui": {
					image: images.ui,
					container_name: "registry-ui",
					restart: "always",
					logging,
					networks: onNetwork(addressIn(role, nginxPosition + 1)),
					ports: [`${role.uiPort}:80`],
					environment: {
						SINGLE_REGISTRY: "true",
						REGISTRY_TITLE: all[0]?.service,
						NGINX_PROXY_PASS_URL: `http://${all[0]?.service}:5000`,
						...role.uiSettings,
					},
				},
			},
			networks: { [NETWORK]: { name: NETWORK, driver: "bridge", ipam: { config: [addresses(role)] } } },
			volumes: { "nginx-cache": {} },
		},
		{ aliasDuplicateObjects: false },
	);
}

/**
 * For Go: memory is tidied up when it has grown to five times what is in use, and not to twice. A registry has little in
 * use, so it tidied up all the time, for a sixth to half of its processor time; it takes 70 MiB instead of 35 for that.
 * Beyond the limit it is as thrifty as before.
 */
export const goEnvironment = { GOGC: "400", GOMEMLIMIT: "256MiB" };

/** Docker's own keeps everything for ever. */
const logging = { driver: "json-file", options: { "max-size": "20m", "max-file": "3" } };

/** Mounts what the FileSet puts there. Docker would by itself make a directory in place of a file that is missing. */
function managed(source: string, target: string) {
	return { type: "bind", source, target, read_only: true, bind: { create_host_path: false } };
}

/** Docker hands out the upper half by itself, so that a container run by hand never gets a service's address. */
function addresses({ subnet }: RegistryVmSettings["role"]) {
	return { subnet, ip_range: subnet.replace("0/24", "128/25") };
}

/** The image of each container, by container name. */
export function containerImages({ role, images }: RegistryVmSettings): Record<string, string> {
	return {
		...Object.fromEntries(registries(role).map(({ service }) => [service, images.registry])),
		"registry-nginx": images.nginx,
		"registry-ui": images.ui,
	};
}

export function containerNames(settings: RegistryVmSettings): string[] {
	return Object.keys(containerImages(settings));
}

function healthcheck({ kind }: Registry) {
	const url = "http://127.0.0.1:5000/v2/";
	// The private registry answers 401 without credentials: any HTTP answer is a living registry.
	const test =
		kind === "private"
			? ["CMD-SHELL", `wget -O /dev/null ${url} 2>&1 | grep -q 'HTTP/1'`]
			: ["CMD", "wget", "-q", "-O", "/dev/null", url];
	return { test, ...HEALTHCHECK };
}

/** Whether nginx itself answers; what is behind it has a check of its own. Images have one program or the other. */
function nginxHealthcheck([first]: Registry[]) {
	const url = `${first?.kind === "private" ? "https" : "http"}://127.0.0.1:${first?.port}/healthz`;
	const test = `wget -q --no-check-certificate -O /dev/null ${url} || curl --silent --fail --insecure --output /dev/null ${url}`;
	return { test: ["CMD-SHELL", test], ...HEALTHCHECK };
}

/** Each check starts a process in the container: every 5 s, those of a whole VM took a tenth of a core, for ever. */
const HEALTHCHECK = { interval: "15s", timeout: "10s", retries: 2 };
