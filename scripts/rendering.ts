/** What a stack would put on its hosts and into the cluster. Secrets are not needed, and marked where they would be. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { resolverSet } from "../components/dnsResolver/files.ts";
import { driftDashboardConfigMap, driftRules } from "../components/driftDetection/objects.ts";
import { integrityObjects } from "../components/integrityMonitoring/objects.ts";
import { keyAlerts } from "../components/keyMirror/keyAge.ts";
import { registryAlerts } from "../components/registryVm/alerts.ts";
import { certificateFingerprint } from "../components/registryVm/certificate.ts";
import { placeholders, registryVmFiles } from "../components/registryVm/files.ts";
import { cacheContainers } from "../components/registryVm/registries.ts";
import { type Config, ConfigError, configKeys, fromText, operatorKeys, PROJECT, parseConfig } from "../config.ts";
import type { RenderedFiles } from "../host/managedFile.ts";

/** In place of what proves a host and logs in to it: satisfies the config's checks, and nobody takes it for real. */
const HOST_KEY = "ssh-ed25519 NOTSET";
const PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY----- (secret sshPrivateKeys)";

/** What a stack would make, without reaching anything. */
export interface Rendered {
	/** By host: its files. */
	hosts: Record<string, RenderedFiles>;
	/** Kubernetes objects. */
	objects: { kind: string; metadata: { name: string } }[];
}

/** The config of the stack of that name, with marks where its secrets would be. Throws a ConfigError. */
export async function declaredConfig(stack: string): Promise<Config> {
	return parseConfig(stack, await valuesOf(stack));
}

/** Renders the stack of that name. Throws a ConfigError. */
export async function rendered(stack: string): Promise<Rendered> {
	const config = await declaredConfig(stack);
	const hosts = Object.fromEntries(
		await Promise.all(config.hosts.map(async (host) => [host.name, await filesOf(config, host)] as const)),
	);
	const { monitoring } = config;
	const probed = config.hosts.flatMap(({ name, registry }) =>
		registry?.private ? [{ name, registry: registry.private }] : [],
	);
	const manifests = probed.flatMap(({ name, registry }) => {
		if (monitoring === undefined) return [];
		const settings = {
			...monitoring,
			suffix: name === config.firstRegistry ? "" : `-${name}`,
			image: config.images.node,
			registry,
			certificate: "tlsCertificate" in config.tls ? certificateFingerprint(config.tls.tlsCertificate) : undefined,
		};
		return integrityObjects(settings, placeholders, config.registryCa);
	});
	if (monitoring === undefined) return { hosts, objects: [] };
	const alerts = [keyAlerts(monitoring.runbooks), registryAlerts(monitoring.runbooks)];
	return { hosts, objects: [...manifests, driftRules({ ...monitoring, alerts }), driftDashboardConfigMap(monitoring)] };
}

/** Its files as they are laid out in a folder: by path, what each has, its mode, and what happens when it changes. */
export function laidOut({
	hosts,
	objects,
}: Rendered): Record<string, { content: string; mode: string; effect?: string }> {
	const ofHosts = Object.entries(hosts).flatMap(([host, files]) =>
		Object.entries(files).map(([path, { content, mode, yamlPath, effect }]) => {
			const whole = yamlPath ? inPlace(yamlPath, content) : content;
			return [join(host, path), { content: whole, mode, effect }] as const;
		}),
	);
	const ofCluster = objects.map((object) => {
		const path = join("kubernetes", `${object.kind}-${object.metadata.name}.yaml`);
		return [path, { content: stringify(object), mode: "0644" }] as const;
	});
	return Object.fromEntries([...ofHosts, ...ofCluster]);
}

async function filesOf(config: Config, { registry, dns }: Config["hosts"][number]): Promise<RenderedFiles> {
	const { images, canary, secrets, tls } = config;
	const pair = "tlsCertificate" in tls ? tls : placeholders;
	const containers = registry && cacheContainers(registry);
	return {
		...(registry &&
			(await registryVmFiles(
				{ role: registry, images, canary },
				{ ...placeholders, ...secrets, tlsCertificate: pair.tlsCertificate, tlsPrivateKey: pair.tlsPrivateKey },
			))),
		...(dns && resolverSet(dns, config.dnsNames, containers ?? []).files),
	};
}

/** A part of a YAML file, where it belongs in it. */
function inPlace(yamlPath: string[], content: string): string {
	return stringify(yamlPath.reduceRight((value, key) => ({ [key]: value }), parse(content)));
}

/** The values in Pulumi.<stack>.yaml, with a mark for each one that is encrypted or only the operator has. */
async function valuesOf(stack: string): Promise<Record<string, unknown>> {
	const path = new URL(`../Pulumi.${stack}.yaml`, import.meta.url);
	if (!(await stat(path).catch(() => undefined))) {
		throw new ConfigError(`there is no stack ${stack}: Pulumi.${stack}.yaml does not exist`);
	}
	const { config } = parse(await readFile(path, "utf8")) as { config?: Record<string, unknown> };
	const values = Object.fromEntries(
		Object.entries(config ?? {})
			.filter(([key]) => key.startsWith(`${PROJECT}:`))
			.map(([key, value]) => [key.slice(PROJECT.length + 1), value]),
	);
	const isEncrypted = (value: unknown) => typeof value === "object" && value !== null && "secure" in value;
	const isRead = (key: string) => key.startsWith("tls") && values["tlsFrom"] !== undefined;
	for (const key of operatorKeys)
		if ((values[key] === undefined && !isRead(key)) || isEncrypted(values[key])) values[key] = placeholders[key];
	for (const { name } of configKeys()) if (isEncrypted(values[name])) delete values[name];
	const hosts = (values["hosts"] ?? {}) as Record<string, { hostKey?: string }>;
	for (const host of Object.values(hosts)) host.hostKey ??= HOST_KEY;
	values["sshPrivateKeys"] = Object.fromEntries(Object.keys(hosts).map((name) => [name, PRIVATE_KEY]));
	// `pulumi config set` writes numbers as text.
	const text = Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === "string");
	return { ...values, ...fromText(Object.fromEntries(text)) };
}
