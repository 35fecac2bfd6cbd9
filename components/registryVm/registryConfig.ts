import { stringify } from "yaml";
import type { RegistryVmSecrets } from "./args.ts";
import type { Registry } from "./registries.ts";

/** The header in which every registry names itself, so that a request on the wrong backend is seen. */
export const IDENTITY_HEADER = "X-Registry-Name";

/** `config-<name>.yml`: the configuration of one registry 2.8.3. */
export function registryConfig(registry: Registry, secrets: RegistryVmSecrets): string {
	const isPrivate = registry.kind === "private";
	const metrics = registry.kind === "cache" && registry.metricsPort !== undefined;
	return stringify({
		version: "0.1",
		// nginx has a line for each request; two more here would push out within hours what somebody has to read.
		log: { level: "warn", accesslog: { disabled: true }, fields: { service: registry.service } },
		storage: {
			filesystem: { rootdirectory: "/var/lib/registry", ...(isPrivate && { maxsize: registry.maxSize }) },
			// Not for the private registry: with this cache, HEAD answers 200 for a layer that is gone (docs/traps.md).
			...(!isPrivate && { cache: { blobdescriptor: "inmemory" } }),
			delete: { enabled: true },
			maintenance: {
				uploadpurging: { enabled: true, age: isPrivate ? "168h" : "24h", interval: "4h", dryrun: false },
			},
		},
		http: {
			addr: ":5000",
			headers: { "X-Content-Type-Options": ["nosniff"], [IDENTITY_HEADER]: [registry.name] },
			...(!isPrivate && { draintimeout: "60s" }),
			...(metrics && { debug: { addr: ":5001", prometheus: { enabled: true, path: "/metrics" } } }),
		},
		...(isPrivate && { auth: { htpasswd: { realm: "Registry Realm", path: "/auth/htpasswd" } } }),
		...(!isPrivate && {
			proxy: {
				remoteurl: registry.upstream,
				ttl: 0,
				...(registry.authenticated && { username: secrets.dockerhubUsername, password: secrets.dockerhubPassword }),
			},
		}),
		health: { storagedriver: { enabled: true, interval: "10s", threshold: 3 } },
	});
}
