/** Every file of the registry VM. */
import { createHash, scrypt } from "node:crypto";
import { promisify } from "node:util";
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

export async function registryVmFiles(
	settings: RegistryVmSettings,
	secrets: RegistryVmSecrets,
): Promise<RenderedFiles> {
	const all = registries(settings.role);
	const mounted = mountedFiles(all, secrets);
	const digests = await Promise.all(
		all.map(async (registry) => [registry.service, await digest(filesOf(registry, mounted))] as const),
	);
	return filesWith(settings, secrets, mounted, Object.fromEntries(digests));
}

/** The same without the operator's secrets: which files there are, and what of them is secret. */
export function filesWithoutSecrets(settings: RegistryVmSettings): RenderedFiles {
	return filesWith(settings, placeholders, mountedFiles(registries(settings.role), placeholders), {});
}

/** What the registries' containers have mounted. */
function mountedFiles(all: Registry[], secrets: RegistryVmSecrets): RenderedFiles {
	const own = privateRegistry(all);
	return {
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
}

/** Those that are mounted into that registry's container. */
function filesOf({ kind, name }: Registry, mounted: RenderedFiles): RenderedFile[] {
	const paths = [`/opt/registry/config-${name}.yml`, ...(kind === "private" ? ["/opt/registry/htpasswd"] : [])];
	return paths.map((path) => mounted[path] as RenderedFile);
}

/** All files, where `digests` says of each service what its container has mounted, so that another content recreates it. */
function filesWith(
	settings: RegistryVmSettings,
	secrets: RegistryVmSecrets,
	mounted: RenderedFiles,
	digests: Record<string, string>,
): RenderedFiles {
	const all = registries(settings.role);
	const own = privateRegistry(all);
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

/** It is in plain sight, so guessing a secret from it has to be slow; another thread does it. */
async function digest(files: RenderedFile[]): Promise<string> {
	const text = files.map(({ content }) => content).join("\0");
	if (files.some(({ secret }) => secret))
		return ((await promisify(scrypt)(text, "config.digest", 16)) as Buffer).toString("hex");
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
