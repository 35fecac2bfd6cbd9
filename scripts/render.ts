/**
 * npm run render -- STACK FOLDER: writes every file that the stack would put on a host to FOLDER/HOST/PATH, and every
 * Kubernetes object to FOLDER/kubernetes, without reaching anything. Secrets are not needed and not written.
 */
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { parse, stringify } from "yaml";
import { resolverSet } from "../components/dnsResolver/files.ts";
import { driftDashboardConfigMap, driftRules } from "../components/driftDetection/objects.ts";
import { integrityObjects } from "../components/integrityMonitoring/objects.ts";
import { placeholders, registryVmFiles } from "../components/registryVm/files.ts";
import { cacheContainers } from "../components/registryVm/registries.ts";
import { type Config, ConfigError, configKeys, fromText, operatorKeys, PROJECT, parseConfig } from "../config.ts";
import type { RenderedFiles } from "../host/managedFile.ts";

/** In place of what proves a host and logs in to it: satisfies the config's checks, and nobody takes it for real. */
const HOST_KEY = "ssh-ed25519 NOTSET";
const PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY----- (secret sshPrivateKeys)";

await new Command()
	.name("npm run render --")
	.description("Write every file and Kubernetes object that the stack would make, without reaching anything.")
	.argument("<stack>", "the stack, for example prod")
	.argument("<folder>", "where to write to: FOLDER/HOST/PATH and FOLDER/kubernetes")
	.action(render)
	.parseAsync()
	.catch((error: unknown) => {
		if (!(error instanceof ConfigError)) throw error;
		console.error(error.message);
		process.exitCode = 1;
	});

async function render(stack: string, folder: string): Promise<void> {
	const config = parseConfig(stack, await valuesOf(stack));
	const hosts = Object.fromEntries(config.hosts.map((host) => [host.name, filesOf(config, host)]));
	const { monitoring } = config;
	const probed = config.hosts.flatMap(({ name, registry }) => (registry ? [{ name, registry: registry.private }] : []));
	const manifests = probed.flatMap(({ name, registry }) => {
		if (monitoring === undefined) return [];
		const settings = {
			...monitoring,
			suffix: name === config.firstRegistry ? "" : `-${name}`,
			image: config.images.node,
			registry,
		};
		return integrityObjects(settings, placeholders, config.registryCa);
	});
	const ofDrift = monitoring === undefined ? [] : [driftRules(monitoring), driftDashboardConfigMap(monitoring)];
	let count = 0;
	const write = async (path: string, content: string, mode: string) => {
		const target = join(folder, path);
		await mkdir(dirname(target), { recursive: true });
		await writeFile(target, content, { mode: 0o600 });
		await chmod(target, Number.parseInt(mode, 8));
		count++;
	};
	for (const [host, files] of Object.entries(hosts))
		for (const [path, { content, mode, yamlPath }] of Object.entries(files))
			await write(join(host, path), yamlPath ? inPlace(yamlPath, content) : content, mode);
	for (const object of [...manifests, ...ofDrift])
		await write(join("kubernetes", `${object.kind}-${object.metadata.name}.yaml`), stringify(object), "0644");
	console.log(`${count} files of ${[...Object.keys(hosts), "kubernetes"].join(", ")} are in ${folder}`);
}

function filesOf(config: Config, { registry, dns }: Config["hosts"][number]): RenderedFiles {
	const { images, canary } = config;
	const containers = registry && cacheContainers(registry);
	return {
		...(registry && registryVmFiles({ role: registry, images, canary }, config.secrets)),
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
	for (const key of operatorKeys)
		if (values[key] === undefined || isEncrypted(values[key])) values[key] = placeholders[key];
	for (const { name } of configKeys()) if (isEncrypted(values[name])) delete values[name];
	const hosts = (values["hosts"] ?? {}) as Record<string, { hostKey?: string }>;
	for (const host of Object.values(hosts)) host.hostKey ??= HOST_KEY;
	values["sshPrivateKeys"] = Object.fromEntries(Object.keys(hosts).map((name) => [name, PRIVATE_KEY]));
	// `pulumi config set` writes numbers as text.
	const text = Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === "string");
	return { ...values, ...fromText(Object.fromEntries(text)) };
}
