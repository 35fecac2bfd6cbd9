/** The stack's config, for commands that run beside `pulumi up` and need what it has. */
import { execa } from "execa";
import { type Config, ConfigError, fromText, type Host, PROJECT, parseConfig } from "../config.ts";

/** Of the stack of that name, or the one that is selected. Throws a ConfigError where there is none, or it is wrong. */
export async function stackConfig(stack: string | undefined): Promise<Config> {
	const values = Object.entries(await stackValues(stack)).map(([key, { value }]) => [key, value] as const);
	return parseConfig(stack ?? "the selected one", fromText(Object.fromEntries(values)));
}

/**
 * The same, not checked, and all of it text: each value, and whether it is encrypted in the stack's file. Throws a
 * ConfigError where it can't be read.
 */
export async function stackValues(stack: string | undefined): Promise<Record<string, StackValue>> {
	const args = ["config", "--show-secrets", "--json", ...(stack === undefined ? [] : ["--stack", stack])];
	const { stdout, stderr, failed } = await execa("pulumi", args, { reject: false, stdin: "ignore" });
	if (failed) throw new ConfigError(`the stack's config can't be read: ${stderr}`);
	const entries = Object.entries(JSON.parse(stdout) as Record<string, { value?: string; secret: boolean }>);
	return Object.fromEntries(
		entries.map(([key, { value = "", secret }]) => [key.replace(`${PROJECT}:`, ""), { value, secret }]),
	);
}

/**
 * Sets a value in the stack's file; `path` is as `pulumi config set --path` takes it. The value goes through a pipe: not
 * into the process list. Throws a ConfigError.
 */
export async function setValue(
	stack: string | undefined,
	path: string,
	value: string,
	{ secret }: { secret: boolean },
): Promise<void> {
	const more = [...(stack === undefined ? [] : ["--stack", stack]), secret ? "--secret" : "--plaintext"];
	const args = ["config", "set", "--non-interactive", "--path", path, ...more];
	const { stderr, failed } = await execa("pulumi", args, { reject: false, input: value });
	if (failed) throw new ConfigError(`${path} can't be set in the stack's config: ${stderr}`);
}

/** Every text of the values that are encrypted: what no report may show. */
export function secretTexts(values: Record<string, StackValue>): string[] {
	return Object.values(values).flatMap(({ value, secret }) => (secret ? texts(value) : []));
}

/** The same of a stack's config. Throws a ConfigError where it can't be read. */
export async function stackSecrets(stack: string): Promise<string[]> {
	return secretTexts(await stackValues(stack));
}

/** The texts in a value that is encrypted as a whole. */
function texts(value: string): string[] {
	try {
		const parsed: unknown = JSON.parse(value);
		if (typeof parsed === "object" && parsed !== null)
			return Object.values(parsed).filter((part) => typeof part === "string");
	} catch {
		// A text by itself.
	}
	return [value];
}

export interface StackValue {
	value: string;
	secret: boolean;
}

/** The stacks of this project in the backend, and whether each one is selected. Throws a ConfigError where there is no backend. */
export async function stacks(): Promise<{ name: string; current: boolean }[]> {
	const { stdout, stderr, failed } = await execa("pulumi", ["stack", "ls", "--json"], {
		reject: false,
		stdin: "ignore",
	});
	if (failed) throw new ConfigError(`the stacks can't be listed: ${stderr}`);
	return JSON.parse(stdout) as { name: string; current: boolean }[];
}

/**
 * The host of that name with that role; without a name, the only one that has it. Throws a ConfigError that lists them
 * where there is none, or more than one.
 */
export function hostWith<Role extends "registry" | "dns">(
	{ hosts, deferred }: Config,
	role: Role,
	name?: string,
): Host & Required<Pick<Host, Role>> {
	const since = deferred.find((host) => host.name === name)?.since;
	if (since !== undefined) throw new ConfigError(`${name} is deferred since ${since}`);
	const all = hosts.filter((host): host is Host & Required<Pick<Host, Role>> => host[role] !== undefined);
	const known = all.map((host) => host.name).join(", ") || "none";
	const found = name === undefined && all.length === 1 ? all[0] : all.find((host) => host.name === name);
	if (found !== undefined) return found;
	throw new ConfigError(
		name === undefined
			? `say which host with --host; those with the role ${role} are: ${known}`
			: `there is no host ${name} with the role ${role} in the config; there are: ${known}`,
	);
}
