/** Every file of the registry VM. */
import { createHash, scryptSync } from "node:crypto";
import type { Config } from "../config.ts";
import { BOUNCE, bounce } from "./bounce.ts";
import { compose } from "./compose.ts";
import { htpasswd } from "./htpasswd.ts";
import type { ManagedFile, ManagedFiles } from "./managedFile.ts";
import { nginx } from "./nginx.ts";
import { type Registry, registries } from "./registries.ts";
import { registryConfig } from "./registryConfig.ts";
import { UNIT, unit } from "./unit.ts";

export function registryVmFiles(config: Config): ManagedFiles {
	const all = registries(config);
	const mounted: ManagedFiles = {
		...Object.fromEntries(
			all.map((registry) => {
				const secret = registry.kind === "cache" && registry.authenticated;
				return [`/opt/registry/config-${registry.name}.yml`, file(registryConfig(registry, config), "compose", secret)];
			}),
		),
		"/opt/registry/htpasswd": file(htpasswd(config.registryUser, config.registryPassword), "compose", true),
	};
	const mounts = (registry: Registry) => [
		`/opt/registry/config-${registry.name}.yml`,
		...(registry.kind === "private" ? ["/opt/registry/htpasswd"] : []),
	];
	const digests = Object.fromEntries(
		all.map((registry) => [registry.service, digest(mounts(registry).map((path) => mounted[path] as ManagedFile))]),
	);
	return {
		[BOUNCE]: { content: bounce(config), secret: false, mode: "0755", owner: "root:root", notify: [] },
		[`/etc/systemd/system/${UNIT}`]: file(unit, "systemd"),
		"/opt/registry/docker-compose.yml": file(compose(config, all, digests), "compose"),
		...mounted,
		"/opt/registry/nginx.conf": file(nginx(all), "nginx"),
		"/opt/registry/tls/fullchain.pem": file(config.tlsCertificate, "nginx"),
		"/opt/registry/tls/privkey.pem": file(config.tlsPrivateKey, "nginx", true),
	};
}

function file(content: string, group: string, secret = false): ManagedFile {
	return { content, secret, mode: secret ? "0600" : "0644", owner: "root:root", notify: [group] };
}

/** The digest is in plain sight, so guessing a secret from it has to be slow. */
function digest(files: ManagedFile[]): string {
	const text = files.map(({ content }) => content).join("\0");
	if (files.some(({ secret }) => secret)) return scryptSync(text, "config.digest", 16).toString("hex");
	return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
