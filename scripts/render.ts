/**
 * npm run render -- STACK FOLDER: writes every file that the stack would put on a host to
 * FOLDER/HOST/PATH, without reaching anything. Secrets are not needed and not written.
 */
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { parse, stringify } from "yaml";
import { resolver } from "../components/dnsResolver/files.ts";
import { registryVmFiles } from "../components/registryVm/files.ts";
import { ConfigError, fromText, isRegistryHost, operatorKeys, optionalSecretKeys, parseConfig } from "../config.ts";
import type { ManagedFiles } from "../host/managedFile.ts";

const PROJECT = "homelab-registry:";

/** Stand-ins that satisfy the config's checks and can't be taken for the real thing. */
const marks: Record<(typeof operatorKeys)[number], string> = {
	registryHostKey: "ssh-ed25519 NOTSET",
	sshPrivateKey: "-----BEGIN PRIVATE KEY----- (secret sshPrivateKey)",
	registryUser: "(registryUser)",
	registryPassword: "(secret registryPassword)",
	dockerhubUsername: "(dockerhubUsername)",
	dockerhubPassword: "(secret dockerhubPassword)",
	tlsCertificate: "-----BEGIN CERTIFICATE----- (tlsCertificate)",
	tlsPrivateKey: "-----BEGIN PRIVATE KEY----- (secret tlsPrivateKey)",
};

await new Command()
	.name("npm run render --")
	.description("Write every file the stack would put on a host, without reaching anything.")
	.argument("<stack>", "the stack, for example prod")
	.argument("<folder>", "where to write to: FOLDER/HOST/PATH")
	.action(render)
	.parseAsync()
	.catch((error: unknown) => {
		if (!(error instanceof ConfigError)) throw error;
		console.error(error.message);
		process.exitCode = 1;
	});

async function render(stack: string, folder: string): Promise<void> {
	const config = parseConfig(stack, await valuesOf(stack));
	const hosts: Record<string, ManagedFiles> = { registry: registryVmFiles(config) };
	for (const host of config.dns.hosts.filter(({ deferred }) => deferred === undefined)) {
		const name = isRegistryHost(config, host) ? "registry" : host.name;
		hosts[name] = { ...hosts[name], ...resolver(config, host).files };
	}
	let count = 0;
	for (const [host, files] of Object.entries(hosts)) {
		for (const [path, { content, mode, within }] of Object.entries(files)) {
			const target = join(folder, host, path);
			await mkdir(dirname(target), { recursive: true });
			await writeFile(target, within ? inPlace(within, content) : content, { mode: 0o600 });
			await chmod(target, Number.parseInt(mode, 8));
			count++;
		}
	}
	console.log(`${count} files of ${Object.keys(hosts).join(", ")} are in ${folder}`);
}

/** A part of a YAML file, where it belongs in it. */
function inPlace(within: string[], content: string): string {
	return stringify(within.reduceRight((value, key) => ({ [key]: value }), parse(content)));
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
			.filter(([key]) => key.startsWith(PROJECT))
			.map(([key, value]) => [key.slice(PROJECT.length), value]),
	);
	const isEncrypted = (value: unknown) => typeof value === "object" && value !== null && "secure" in value;
	for (const key of operatorKeys) if (values[key] === undefined || isEncrypted(values[key])) values[key] = marks[key];
	for (const key of optionalSecretKeys) if (isEncrypted(values[key])) delete values[key];
	for (const host of (values["dns"] as { hosts?: { hostKey?: string }[] } | undefined)?.hosts ?? [])
		host.hostKey ??= marks.registryHostKey;
	// `pulumi config set` writes numbers as text.
	const text = Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === "string");
	return { ...values, ...fromText(Object.fromEntries(text)) };
}
