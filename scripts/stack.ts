/** The stack's config, for commands that run beside `pulumi up` and need what it has. */
import { execa } from "execa";
import { type Config, ConfigError, fromText, parseConfig } from "../config.ts";

/** Of the stack of that name, or the one that is selected. Throws a ConfigError where there is none, or it is wrong. */
export async function stackConfig(stack: string | undefined): Promise<Config> {
	const args = ["config", "--show-secrets", "--json", ...(stack === undefined ? [] : ["--stack", stack])];
	const { stdout, stderr, failed } = await execa("pulumi", args, { reject: false });
	if (failed) throw new ConfigError(`the stack's config can't be read: ${stderr}`);
	const entries = Object.entries(JSON.parse(stdout) as Record<string, { value: string }>);
	const values = Object.fromEntries(entries.map(([key, { value }]) => [key.replace(/^homelab-registry:/, ""), value]));
	return parseConfig(stack ?? "the selected one", fromText(values));
}
