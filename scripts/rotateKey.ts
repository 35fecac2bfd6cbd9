/**
 * npm run rotate-key -- HOST: a new login key for a host, in its authorized_keys, in the stack's config, in Vault and in
 * Woodpecker. The new key is let in and tried before the old one goes. Killed anywhere and run again, it goes on.
 */

import { Command } from "commander";
import { execa } from "execa";
import { letIn, provesLogin, takeOut } from "../components/keyMirror/rotation.ts";
import { fingerprint, newPrivateKey, publicKeyOf, withNewline } from "../components/keyMirror/sshKey.ts";
import { readEntry } from "../components/vault.ts";
import { ConfigError, fromText } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { disconnect } from "../host/ssh.ts";
import { setValue, stackConfig, stackValues } from "./stack.ts";

/** A step failed; the message says which key is let in now, and what to do. */
class RotationError extends ExpectedError {}

interface Options {
	stack?: string;
	dryRun: boolean;
}

await new Command()
	.name("npm run rotate-key --")
	.description("Give a host a new login key: let in and tried before the old one goes.")
	.argument("<host>", "as in the stack's config; it has to have `key`")
	.option("--stack <name>", "the stack; by default, the one that is selected")
	.option("--dry-run", "only say what would be done", false)
	.action(rotate)
	.parseAsync()
	.catch((error: unknown) => {
		const expected = error instanceof ExpectedError;
		console.error(expected ? (error as Error).message : error);
		process.exitCode = 1;
	})
	.finally(disconnect);

async function rotate(name: string, { stack, dryRun }: Options): Promise<void> {
	const config = await stackConfig(stack);
	const host = config.hosts.find((one) => one.name === name);
	if (host?.key === undefined) {
		const having = config.hosts.filter(({ key }) => key).map((one) => one.name);
		throw new ConfigError(
			`the config has no host ${name} with "key"; those with it are: ${having.join(", ") || "none"}`,
		);
	}
	const { connection, key } = host;
	const keys = fromText({ sshPrivateKeys: (await stackValues(stack))["sshPrivateKeys"]?.value ?? "{}" });
	const begun = (keys["sshPrivateKeys"] as Record<string, string>)[`${name}.next`];
	const path = `sshPrivateKeys["${name}.next"]`;
	const copies = [...(key.vault ? ["Vault"] : []), ...(key.secret ? ["Woodpecker"] : [])].join(" and ");
	const steps = [
		begun === undefined
			? "make a new key, and keep it in the stack's config"
			: "go on with the key of the rotation that was begun",
		`let it in on ${name} beside the old one, and log in with it`,
		"put it in the place of the old one in the stack's config",
		`pulumi up${copies ? `: ${copies}, then` : ":"} the old line in authorized_keys goes`,
		`log in with ${key.vault ? "what Vault has" : "the new key"}, and forget the old one`,
	];
	if (dryRun) {
		for (const what of steps) console.error(`would: ${what}`);
		return;
	}
	let done = 0;
	const step = () => console.error(`${done + 1}/${steps.length} ${steps[done++]}`);

	step();
	// A host that is down has nothing begun that it would have to finish.
	if (begun === undefined) await provesLogin(connection, connection.privateKey);
	const next = withNewline(begun ?? newPrivateKey(key.label));
	if (begun === undefined) await setValue(stack, path, next, { secret: true });
	const isSwapped = publicKeyOf(next) === publicKeyOf(connection.privateKey);
	step();
	if (!isSwapped) {
		await letIn(connection, key, next);
		await provesLogin(connection, next);
	}
	step();
	if (!isSwapped) await setValue(stack, `sshPrivateKeys.${name}`, next, { secret: true });
	step();
	// Its output is Pulumi's, which masks what is secret.
	const up = await execa(
		"pulumi",
		["up", "--yes", "--skip-preview", "--non-interactive", ...(stack ? ["--stack", stack] : [])],
		{
			reject: false,
			stdin: "ignore",
			stdout: process.stderr,
			stderr: "inherit",
		},
	);
	if (up.failed)
		throw new RotationError(
			`pulumi up failed, so the rotation is not done yet: ${name} lets both keys in until it is. Mend what it says, then run this again`,
		);
	step();
	const held = key.vault === undefined ? next : (await readEntry(config.vault.mount, key.vault)).data?.["private_key"];
	if (held === undefined || publicKeyOf(held) !== publicKeyOf(next))
		throw new RotationError(
			`Vault does not have the new key of ${name}: somebody else wrote it meanwhile. Run this again`,
		);
	await provesLogin(connection, held);
	await takeOut({ ...connection, privateKey: next }, key);
	const removed = await execa("pulumi", ["config", "rm", "--path", path, ...(stack ? ["--stack", stack] : [])], {
		reject: false,
	});
	if (removed.failed) throw new ConfigError(`${path} can't be taken out of the stack's config: ${removed.stderr}`);
	console.log(
		`${name} now has the key ${fingerprint(publicKeyOf(next))}, and no other one of ours. Commit the stack's file.`,
	);
}
