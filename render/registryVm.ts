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
import { upkeepFiles } from "./upkeep.ts";

export function registryVmFiles(config: Config): ManagedFiles {
	const all = registries(config);
	const mounted: ManagedFiles = {
		...Object.fromEntries(
			all.map((registry) => {
				const secret = registry.kind === "cache" && registry.authenticated;
				const content = registryConfig(registry, config);
				return [`/opt/registry/config-${registry.name}.yml`, file(content, "compose", recreated(registry), secret)];
			}),
		),
		"/opt/registry/htpasswd": file(
			htpasswd(config.registryUser, config.registryPassword),
			"compose",
			all
				.filter(({ kind }) => kind === "private")
				.map(recreated)
				.join(),
			true,
		),
	};
	const mounts = (registry: Registry) => [
		`/opt/registry/config-${registry.name}.yml`,
		...(registry.kind === "private" ? ["/opt/registry/htpasswd"] : []),
	];
	const digests = Object.fromEntries(
		all.map((registry) => [registry.service, digest(mounts(registry).map((path) => mounted[path] as ManagedFile))]),
	);
	const nginxRestarts = "nginx is restarted";
	return {
		[BOUNCE]: { ...file(bounce(config), "", "nothing is restarted"), mode: "0755", notify: [] },
		[`/etc/systemd/system/${UNIT}`]: file(unit, "systemd", "systemd reads and enables it; nothing is restarted"),
		"/opt/registry/docker-compose.yml": file(
			compose(config, all, digests),
			"compose",
			"the containers whose declaration differs are recreated, then nginx is restarted",
		),
		...mounted,
		"/opt/registry/nginx.conf": file(nginx(all), "nginx", nginxRestarts),
		"/opt/registry/tls/fullchain.pem": file(config.tlsCertificate, "nginx", nginxRestarts),
		"/opt/registry/tls/privkey.pem": file(config.tlsPrivateKey, "nginx", nginxRestarts, true),
		...upkeepFiles(all),
	};
}

function recreated({ service }: Registry): string {
	return `${service} is recreated, then nginx is restarted`;
}

function file(content: string, group: string, reaction: string, secret = false): ManagedFile {
	return { content, secret, mode: secret ? "0600" : "0644", owner: "root:root", notify: [group], reaction };
}

/** The digest is in plain sight, so guessing a secret from it has to be slow. */
function digest(files: ManagedFile[]): string {
	const text = files.map(({ content }) => content).join("\0");
	if (files.some(({ secret }) => secret)) return scryptSync(text, "config.digest", 16).toString("hex");
	return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
