/** Parts of the config that KeyMirror takes: `hosts.<name>.key`, `vault` and `woodpecker`. */
import { z } from "zod";
import { events } from "../../woodpecker/secret.ts";

export const keyConfig = z.strictObject({
	label: z
		.string()
		.regex(/^[A-Za-z0-9._@-]+$/, "is not a single plain word")
		.describe("The comment of the key's line in authorized_keys: the line that is ours."),
	options: z
		.string()
		.regex(/^[^\s"]+$/, "has a space or a quote in it")
		.optional()
		.describe("What the line begins with, for example `restrict,pty`. Nothing by default."),
	vault: z
		.string()
		.regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, "is not a path like woodpecker/registry_ssh_key")
		.optional()
		.describe("The path of its copy in Vault, below the mount. None by default."),
	secret: z
		.strictObject({
			name: z
				.string()
				.regex(/^[A-Za-z0-9_.-]+$/, "is not a secret's name")
				.describe("What pipelines call it."),
			events: z
				.array(z.enum(events))
				.min(1)
				.default(["push", "manual"])
				.describe("The events in which pipelines get it. push and manual by default."),
		})
		.optional()
		.describe("Its copy as a secret of the repository in Woodpecker. None by default."),
});

export type KeyConfig = z.output<typeof keyConfig>;

export const vaultConfig = z.strictObject({
	mount: z
		.string()
		.regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, "is not a mount's path")
		.default("secret")
		.describe("The mount of the KV version 2 engine. secret by default."),
	policies: z
		.boolean()
		.default(false)
		.describe(
			"Whether the policies that let somebody write and read the copies are managed, which takes an administrator's token. false by default.",
		),
	registryPassword: z
		.array(
			z.strictObject({
				path: z.string().min(1).describe("The entry's path below the mount."),
				key: z.string().min(1).default("registry_password").describe("Its key. registry_password by default."),
			}),
		)
		.default([])
		.describe(
			"Entries that have the registry's password; npm run rotate-password changes it there, too. None by default.",
		),
});

export type VaultConfig = z.output<typeof vaultConfig>;

export const woodpeckerConfig = z.strictObject({
	server: z
		.url({ protocol: /^https?$/, error: "is not a URL with http or https" })
		.optional()
		.describe("The URL of Woodpecker. That of WOODPECKER_SERVER by default, else, in a pipeline, of CI_SYSTEM_URL."),
	repository: z.int().positive().describe("The repository's number, as its URL has it."),
});

export type WoodpeckerConfig = z.output<typeof woodpeckerConfig>;
