/** Every file of the registry VM. */
import { createHash, scryptSync } from "node:crypto";
import { managedFile, type RenderedFile, type RenderedFiles } from "../../host/managedFile.ts";
import type { RegistryVmSecrets, RegistryVmSettings } from "./args.ts";
import { BOUNCE, bounceEnv, bounceScript } from "./bounce.ts";
import { compose } from "./compose.ts";
import { htpasswd } from "./htpasswd.ts";
import { nginx } from "./nginx.ts";
import { privateRegistry, type Registry, registries } from "./registries.ts";
import { registryConfig } from "./registryConfig.ts";
import { UNIT, unit } from "./unit.ts";
import { upkeepFiles } from "./upkeepFiles.ts";

export function registryVmFiles(settings: RegistryVmSettings, secrets: RegistryVmSecrets): RenderedFiles {
	const all = registries(settings.role);
	const own = privateRegistry(all);
	const mounted: RenderedFiles = {
		...Object.fromEntries(
			all.map((registry) => {
				const secret = registry.kind === "cache" && registry.authenticated;
				const content = registryConfig(registry, secrets);
				const removalEffect = `${registry.service} is removed, then nginx is restarted; its data stays in /opt/registry/data/${registry.name}`;
				const file = managedFile(content, recreated(registry), { notify: ["compose"], secret, removalEffect });
				return [`/opt/registry/config-${registry.name}.yml`, file];
			}),
		),
		...(own && {
			"/opt/registry/htpasswd": managedFile(htpasswd(secrets.registryUser, secrets.registryPassword), recreated(own), {
				notify: ["compose"],
				secret: true,
			}),
		}),
	};
	const mounts = (registry: Registry) => [
		`/opt/registry/config-${registry.name}.yml`,
		...(registry.kind === "private" ? ["/opt/registry/htpasswd"] : []),
	];
	const digests = Object.fromEntries(
		all.map((registry) => {
			const files = mounts(registry).map((path) => mounted[path] as RenderedFile);
			return [registry.service, digest(files, secrets !== placeholders && files.some(({ secret }) => secret))];
		}),
	);
	const forNginx = (content: string, secret = false) =>
		managedFile(content, "nginx is restarted", { notify: ["nginx"], secret });
	return {
		[BOUNCE]: managedFile(bounceScript, "nothing is restarted", { mode: "0755" }),
		"/opt/registry/bounce.env": managedFile(bounceEnv(settings), "nothing is restarted"),
		[`/etc/systemd/system/${UNIT}`]: managedFile(unit, "systemd reads and enables it; nothing is restarted", {
			notify: ["systemd"],
		}),
		"/opt/registry/docker-compose.yml": managedFile(
			compose(settings, all, digests),
			"the containers whose declaration differs are recreated, then nginx is restarted",
			{ notify: ["compose"] },
		),
		...mounted,
		"/opt/registry/nginx.conf": forNginx(nginx(all)),
		...(own && {
			"/opt/registry/tls/fullchain.pem": forNginx(secrets.tlsCertificate),
			"/opt/registry/tls/privkey.pem": forNginx(secrets.tlsPrivateKey, true),
		}),
		...upkeepFiles(all),
	};
}

function recreated({ service }: Registry): string {
	return `${service} is recreated, then nginx is restarted`;
}

/** It is in plain sight, so guessing a secret from it has to be slow. */
function digest(files: RenderedFile[], secret: boolean): string {
	const text = files.map(({ content }) => content).join("\0");
	if (secret) return scryptSync(text, "config.digest", 16).toString("hex");
	return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/**
 * In place of what only the operator has: enough to know which files there are, and nobody takes it for the real thing.
 */
export const placeholders: RegistryVmSecrets = {
	registryUser: "(registryUser)",
	registryPassword: "(secret registryPassword)",
	dockerhubUsername: "(dockerhubUsername)",
	dockerhubPassword: "(secret dockerhubPassword)",
	tlsCertificate: "-----BEGIN CERTIFICATE----- (tlsCertificate)",
	tlsPrivateKey: "-----BEGIN PRIVATE KEY----- (secret tlsPrivateKey)",
};
