/**
 * npm run pin-host-key -- HOST: shows the key that a host offers beside the one that is pinned, and pins it if a person
 * says that its console shows the same.
 */

import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { execa } from "execa";
import { fingerprint } from "../components/keyMirror/sshKey.ts";
import { ConfigError, fromText } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { setValue, stackValues } from "./stack.ts";

/** The key that is offered can't be had, or is not the right one; the message says which. */
class PinError extends ExpectedError {}

interface Options {
	stack?: string;
	fingerprint?: string;
}

await new Command()
	.name("npm run pin-host-key --")
	.description("Pin a host's SSH key, after it was compared with what the host's console shows.")
	.argument("<host>", "as in the stack's config")
	.option("--stack <name>", "the stack; by default, the one that is selected")
	.option("--fingerprint <text>", "what the console shows, SHA256:...; asked for by default")
	.action(pin)
	.parseAsync()
	.catch((error: unknown) => {
		const expected = error instanceof ExpectedError;
		console.error(expected ? error.message : error);
		process.exitCode = 1;
	});

async function pin(name: string, options: Options): Promise<void> {
	// Not checked as a whole: without a pinned key, the config can't be used yet.
	const values = await stackValues(options.stack);
	const { hosts = {} } = fromText({ hosts: values["hosts"]?.value ?? "{}" }) as { hosts?: Record<string, HostEntry> };
	const host = hosts[name];
	if (host === undefined)
		throw new ConfigError(
			`there is no host ${name} in the config; there are: ${Object.keys(hosts).join(", ") || "none"}`,
		);
	const offered = await offeredBy(host);
	const pinned = host.hostKey;
	console.log(`${name} (${host.address}:${host.port ?? 22})
  offers     ${fingerprint(offered)} ${offered.split(" ")[0]}
  pinned is  ${pinned === undefined ? "none" : `${fingerprint(pinned)} ${pinned.split(" ")[0]}`}`);
	if (offered === pinned) {
		console.log("It is the one that is pinned; nothing is changed.");
		return;
	}
	console.log(`Whoever answers at that address could offer any key. Log in on the host's own console, and read it there:
  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key`);
	const seen = options.fingerprint ?? (await ask("What does the console show (SHA256:...)? "));
	if (seen.trim() !== fingerprint(offered))
		throw new PinError(
			`that is not what is offered; nothing is changed. If the console is right, somebody else answers at ${host.address}`,
		);
	await setValue(options.stack, `hosts.${name}.hostKey`, offered, { secret: false });
	console.log("It is pinned. The next pulumi up uses it, and writes it to the copy in Vault.");
}

interface HostEntry {
	address: string;
	port?: number;
	hostKey?: string;
}

/** `<type> <base64>` of the ed25519 key that is offered. */
async function offeredBy({ address, port = 22 }: HostEntry): Promise<string> {
	const { stdout, stderr } = await execa("ssh-keyscan", ["-T", "10", "-t", "ed25519", "-p", String(port), address], {
		reject: false,
	});
	const line = stdout.split("\n").find((text) => text !== "" && !text.startsWith("#"));
	const [, type, key] = line?.split(" ") ?? [];
	if (type === undefined || key === undefined)
		throw new PinError(
			`${address}:${port} offers no ed25519 key: ${stderr.trim().split("\n").at(-1) || "nobody answers"}`,
		);
	return `${type} ${key}`;
}

async function ask(question: string): Promise<string> {
	if (!process.stdin.isTTY)
		throw new PinError("nobody can be asked here; give --fingerprint what the console shows. Nothing is changed");
	const terminal = createInterface({ input: process.stdin, output: process.stderr });
	try {
		return await terminal.question(question);
	} finally {
		terminal.close();
	}
}
