/**
 * npm run recover-key -- HOST [FOLDER]: with nothing but this checkout and a login to Vault, gets a host's login key back,
 * and prints the command that uses it.
 */

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { parse } from "yaml";
import { withNewline } from "../components/keyMirror/sshKey.ts";
import { readEntry, VaultError } from "../components/vault.ts";
import { ConfigError, PROJECT } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";

await new Command()
	.name("npm run recover-key --")
	.description("Get a host's login key from Vault (VAULT_ADDR, and a login), and print the command that uses it.")
	.argument("<host>", "as in the stack's config")
	.argument("[folder]", "where the key and its known_hosts are written to", "recovered-key")
	.option("--stack <name>", "the stack in whose file the host is", "prod")
	.action((host: string, folder: string, { stack }: { stack: string }) => recover(host, resolve(folder), stack))
	.parseAsync()
	.catch((error: unknown) => {
		const expected = error instanceof ExpectedError;
		console.error(expected ? error.message : error);
		process.exitCode = 1;
	});

async function recover(name: string, folder: string, stack: string): Promise<void> {
	const { address, port, user, path, mount } = await locate(name, stack);
	const { version, data } = await readEntry(mount, path);
	if (data === undefined)
		throw new VaultError(
			version === 0
				? `Vault has no entry ${mount}/${path}`
				: `the entry ${mount}/${path} in Vault is deleted; "vault kv undelete -mount=${mount} -versions=${version} ${path}" brings it back`,
		);
	const { private_key: privateKey, known_hosts_entry: knownHost } = data;
	if (!privateKey || !knownHost)
		throw new VaultError(
			`the entry ${mount}/${path} in Vault has no ${privateKey ? "known_hosts_entry" : "private_key"}`,
		);
	await mkdir(folder, { recursive: true, mode: 0o700 });
	const [key, knownHosts] = [join(folder, name), join(folder, `${name}.known_hosts`)];
	await keep(key, withNewline(privateKey));
	await keep(knownHosts, `${knownHost.trim()}\n`);
	// ssh itself takes a space for the end of a file's name, unless it is between quotes of its own.
	const options = ["IdentitiesOnly=yes", quoted(`UserKnownHostsFile="${knownHosts}"`), "StrictHostKeyChecking=yes"];
	console.log(`ssh -i ${quoted(key)} ${options.map((one) => `-o ${one}`).join(" ")} -p ${port} ${user}@${address}`);
}

/** Where the host is, and where its key is: in the stack's file, none of which is encrypted. */
async function locate(name: string, stack: string) {
	const file = `Pulumi.${stack}.yaml`;
	const text = await readFile(join(import.meta.dirname, "..", file), "utf8").catch(() => {
		throw new ConfigError(`there is no ${file}; name another stack with --stack`);
	});
	const values = (parse(text) as { config?: Record<string, unknown> }).config ?? {};
	const hosts = (values[`${PROJECT}:hosts`] ?? {}) as Record<string, HostEntry>;
	const { mount = "secret" } = (values[`${PROJECT}:vault`] ?? {}) as { mount?: string };
	const withCopy = Object.keys(hosts).filter((host) => hosts[host]?.key?.vault !== undefined);
	const host = hosts[name];
	if (host?.key?.vault === undefined)
		throw new ConfigError(
			`${file} has no host ${name} with key.vault, a copy of its key in Vault; those with one are: ${withCopy.join(", ") || "none"}`,
		);
	const { address, port = 22, user = "root", key } = host;
	return { address, port, user, mount, path: key.vault as string };
}

interface HostEntry {
	address: string;
	port?: number;
	user?: string;
	key?: { vault?: string };
}

/** Writes a file of one's own; another one that is there already is not written over. */
async function keep(path: string, content: string): Promise<void> {
	const there = await readFile(path, "utf8").catch(() => undefined);
	if (there !== undefined && there !== content)
		throw new ConfigError(`${path} exists and has something else in it; name another folder, or move it away`);
	await writeFile(path, content, { mode: 0o600 });
	await chmod(path, 0o600);
}

/** As a shell reads it: as it is, where nothing in it means anything to a shell. */
function quoted(text: string): string {
	return /^[\w/.,:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
