/**
 * npm run rotate-password: a new password for the private registries, in the stack's config, on the VMs, in the probe's
 * Secret, and in the entries of Vault that `vault.registryPassword` names; then says who still has the old one. Killed
 * anywhere and run again, it goes on.
 */
import { randomBytes } from "node:crypto";
import { Command } from "commander";
import { execa } from "execa";
import { pullSecrets } from "../components/cluster.ts";
import { readEntry, writeEntry } from "../components/vault.ts";
import type { Config } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { setValue, stackConfig } from "./stack.ts";

/** A step failed; the message says what has which password now, and what to do. */
class RotationError extends ExpectedError {}

interface Options {
	stack?: string;
	dryRun: boolean;
}

await new Command()
	.name("npm run rotate-password --")
	.description("Give the private registries a new password, and every copy of it that is known.")
	.option("--stack <name>", "the stack; by default, the one that is selected")
	.option("--dry-run", "only say what would be done", false)
	.action(rotate)
	.parseAsync()
	.catch((error: unknown) => {
		console.error(error instanceof ExpectedError ? error.message : error);
		process.exitCode = 1;
	});

async function rotate({ stack, dryRun }: Options): Promise<void> {
	const config = await stackConfig(stack);
	const names = config.hosts.flatMap(({ registry }) => (registry?.private ? [registry.private.hostname] : []));
	if (names.length === 0) throw new RotationError("there is no private registry in this stack, and so no password");
	const stale = await staleCopies(config, config.secrets.registryPassword);
	const isBegun = stale.length > 0;
	const step = (what: string) => console.error(`${dryRun ? "would: " : ""}${what}`);

	step(
		isBegun
			? `go on with the password that the stack's config has: ${stale.map(({ place }) => place).join(", ")} has another one`
			: "make a new password, and set it in the stack's config",
	);
	step(`pulumi up: ${names.join(", ")} takes the new one and no longer the old one, and so does the probe`);
	for (const { path, key } of config.vault.registryPassword) step(`write it to Vault: ${placeOf(config, path, key)}`);
	step("look for pull secrets in the cluster that have another one");
	if (dryRun) return;

	const password = isBegun ? config.secrets.registryPassword : randomBytes(24).toString("base64url");
	if (!isBegun) await setValue(stack, "registryPassword", password, { secret: true });
	// Its output is Pulumi's, which masks what is secret.
	const args = ["up", "--yes", "--skip-preview", "--non-interactive", ...(stack ? ["--stack", stack] : [])];
	const up = await execa("pulumi", args, { reject: false, stdin: "ignore", stdout: process.stderr, stderr: "inherit" });
	if (up.failed)
		throw new RotationError(
			"pulumi up failed: the stack's config has the new password, and the registry may still have the old one. Mend what it says, run pulumi up, then run this again",
		);
	for (const { path, key, place } of await staleCopies(config, password)) {
		const { version, data = {} } = await readEntry(config.vault.mount, path);
		await writeEntry(config.vault.mount, path, { ...data, [key]: password }, version);
		console.error(`${place} has the new one`);
	}

	console.log(`The registry has a new password. Commit the stack's file. What still has the old one:`);
	for (const line of await remaining(config, names, password)) console.log(`- ${line}`);
	console.log(`- every docker login at ${names.join(", ")} on a laptop or a node: log in again`);
	console.log("- every other copy that vault.registryPassword does not name");
}

function placeOf(config: Config, path: string, key: string): string {
	return `${config.vault.mount}/${path} (${key})`;
}

/** The entries in Vault that are to have the password, and have another one. */
async function staleCopies(config: Config, password: string) {
	const found = config.vault.registryPassword.map(async ({ path, key }) => {
		const { data } = await readEntry(config.vault.mount, path);
		const place = placeOf(config, path, key);
		if (data?.[key] === undefined)
			throw new RotationError(
				`vault.registryPassword: ${place} is not there: correct it, or take it out. Nothing was changed`,
			);
		return data[key] === password ? [] : [{ path, key, place }];
	});
	return (await Promise.all(found)).flat();
}

/** The pull secrets that have another password, a line each; or why they could not be looked at. */
async function remaining({ monitoring }: Config, names: string[], password: string): Promise<string[]> {
	if (monitoring === undefined) return ["pull secrets in a cluster: not looked at, the config has no monitoring"];
	try {
		const all = await pullSecrets(monitoring.context, names);
		const old = all.filter((secret) => secret.password !== password);
		return old.map(({ namespace, name, registry }) => `the pull secret ${namespace}/${name}, for ${registry}`);
	} catch (error) {
		return [`pull secrets in the cluster: could not be looked at (${(error as Error).message.split("\n")[0]})`];
	}
}
