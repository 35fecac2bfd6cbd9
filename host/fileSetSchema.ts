/**
 * The inputs and outputs of `host:index:FileSet`, declared once: the plugin checks what it is given against this, publishes
 * it as its Pulumi schema, and the resource class takes its types from it.
 */
import { z } from "zod";

/** A sentence that travels in a line of a list, so it is one line. */
const sentence = z.string().regex(/^[^\p{Cc}]+$/u, "is empty, or has a newline, a tab or another control character");

const path = z
	.string()
	.regex(/^(\/[^/\p{Cc}]+)+$/u, "is not an absolute path of a file")
	.refine((text) => !/\/\.\.?(\/|$)/.test(text), "has a . or .. in it")
	.describe("An absolute path.");

const group = z
	.string()
	.regex(/^[a-z][a-z0-9-]*$/, 'is not a group name like "web"')
	.describe("A group name: lower-case letters, digits and dashes.");

const notify = z
	.array(group)
	.describe("The groups that have to react when this changes. Each one has a revision in the output `revisions`.");

const effect = sentence.describe(
	'For people, in previews: what happens because this changed, for example "nginx is restarted".',
);

const script = z.string().min(1).describe("The text of a POSIX shell script. It runs as root, under sh, with errexit.");

const args = z
	.array(z.string())
	.optional()
	.describe("The script's positional parameters, any text. None by default. Secrets do not belong here.");

export const connection = z
	.strictObject({
		host: z.string().min(1).describe("Name or address."),
		port: z.number().int().min(1).max(65535).optional().describe("TCP port. 22 by default."),
		user: z.string().min(1).describe("The user that logs in. It has to be root."),
		privateKey: z
			.string()
			.min(1)
			.meta({ secret: true })
			.describe("The private key that logs in: OpenSSH or PEM form, unencrypted."),
		hostKey: z
			.string()
			.min(1)
			.describe(
				"The host's public key, `<type> <base64>`, as known_hosts has it after the name. Any other is refused.",
			),
	})
	.meta({ id: "Connection" })
	.describe("How a host is reached, how it proves itself, and how we prove ourselves to it.");

const precondition = z
	.strictObject({
		script,
		args,
		remedy: z
			.string()
			.min(1)
			.optional()
			.describe("The text of a shell script, run with the same parameters, that tries to make it so."),
		problem: sentence.describe(
			'For people: what is wrong where it is not so, for example "Docker does not run there".',
		),
		advice: sentence.describe("For people: what to do where there is no remedy, or it did not help."),
	})
	.meta({ id: "Precondition" })
	.describe("What has to be so on the host before anything is staged. The script ends with 0 where it is so.");

const judgement = {
	name: sentence.describe("For people: what is wrong where the script fails. It begins the error message."),
	script,
	args,
	files: z.array(path).min(1).describe("The script runs when one of these files changes."),
};

const check = z
	.strictObject(judgement)
	.meta({ id: "Check" })
	.describe(
		"Judges staged files before they become live. In the script, `$(staged PATH)` is where the new content of PATH is, or PATH itself where that does not change.",
	);

const hook = z
	.strictObject(judgement)
	.meta({ id: "Hook" })
	.describe(
		"Runs after every check has passed, immediately before the first file is replaced; where it fails, nothing is. In the script, `staged` works as in a check, and `$revision` is the revision that the files will have.",
	);

const condition = z
	.strictObject({
		script,
		args,
		state: z.string().describe("What the script has to print, newlines included."),
		notify: notify.min(1),
		effect,
	})
	.meta({ id: "Condition" })
	.describe("Something on the host that is not a file. It is looked at on every refresh.");

const file = z
	.strictObject({
		content: z.string().describe("The whole content, or a part of it where `yamlPath` is set. May be a secret."),
		mode: z
			.string()
			.regex(/^0[0-7]{3}$/, 'is not a mode like "0644"')
			.describe("Octal, four digits, for example `0644`."),
		owner: z
			.string()
			.regex(/^[a-z_][a-z0-9_-]*:[a-z_][a-z0-9_-]*$/, 'is not an owner like "root:root"')
			.describe("`user:group`, by name."),
		notify,
		effect,
		removalEffect: sentence
			.optional()
			.describe("For people, in previews: what happens because the file is no longer declared. `effect` by default."),
		yamlPath: z
			.array(z.string().min(1))
			.min(2)
			.optional()
			.describe(
				"Set where only a part of a YAML file is declared: the keys that lead to one mapping in it. `content` is then a YAML mapping of the keys that are managed there; everything else in the file stays as it is, and the file stays when it is no longer declared. The mapping that it is in has to exist.",
			),
	})
	.meta({ id: "File" })
	.describe("One managed file.");

const line = z.string().regex(/^[^\r\n\0]+$/, "is empty, or is not one line");

const lines = z
	.strictObject({
		present: z
			.array(
				z
					.strictObject({
						text: line.describe("The line, without its newline."),
						label: line
							.optional()
							.describe(
								"The last word or words of the line, by which it is recognised when the rest of it differs: the comment of an SSH key, for example. By default a line is recognised by its whole text.",
							),
					})
					.refine(({ text, label }) => label === undefined || endsWith(text, label), "does not end with its label")
					.meta({ id: "PresentLine" })
					.describe("A line that has to be there, once. One that is not there is appended."),
			)
			.default([])
			.describe("Lines that have to be there. None by default."),
		absent: z
			.array(
				z
					.strictObject({
						text: line.optional().describe("The whole line, without its newline."),
						label: line.optional().describe("The last word or words of the line."),
						pattern: z
							.string()
							.min(1)
							.refine(isPattern, "is not a regular expression")
							.optional()
							.describe("A regular expression, as JavaScript has them, that finds something in the line."),
					})
					.refine(
						(one) => Object.values(one).filter((value) => value !== undefined).length === 1,
						"needs one of text, label and pattern",
					)
					.meta({ id: "AbsentLine" })
					.describe("Lines that must not be there, by their text, their label or a pattern. Comments are left alone."),
			)
			.default([])
			.describe("Lines that must not be there. None by default."),
		notify,
		effect,
	})
	.meta({ id: "Lines" })
	.describe(
		"Some lines of a text file that is somebody else's. Every other byte of it, its mode and its owner stay as they are; what is no longer declared stays, too. A file that does not exist is made only for lines that have to be there, with mode 0600 and owner root:root.",
	);

function isPattern(text: string): boolean {
	try {
		new RegExp(text, "u");
		return true;
	} catch {
		return false;
	}
}

/** Whether `label` is the last word, or the last words, of a line. */
export function endsWith(text: string, label: string): boolean {
	const trimmed = text.trimEnd();
	return trimmed === label || trimmed.endsWith(` ${label}`) || trimmed.endsWith(`\t${label}`);
}

export const fileSetInputs = z.strictObject({
	name: z
		.string()
		.regex(/^[a-z][a-z0-9-]*$/, 'is not a plain name like "web"')
		.describe(
			"Names this set's records on the host, in /var/lib/pulumi-host. One host may have several sets. A new name replaces the set.",
		),
	connection,
	preconditions: z.array(precondition).default([]).describe("None by default."),
	checks: z.array(check).default([]).describe("None by default."),
	beforeActivation: z.array(hook).default([]).describe("Hooks. None by default."),
	conditions: z.record(sentence, condition).default({}).describe("By a name for people. None by default."),
	files: z
		.record(path, file)
		.default({})
		.describe("By absolute path. What leaves this record is removed from the host, unless `yamlPath` is set."),
	lines: z.record(path, lines).default({}).describe("By absolute path. None by default."),
});

export const fileSetOutputs = z.strictObject({
	revisions: z
		.record(group, z.string())
		.describe("By group: a string that is new whenever something that the group is notified of changed on the host."),
	owed: z
		.array(group)
		.describe(
			"Groups whose last change was never settled, because a run ended between the change and its restart. Empty after an update.",
		),
	interrupted: z.boolean().describe("True where an update was cut off and left staged files behind."),
	unreachable: z
		.string()
		.describe(
			"Why the host could not be reached, a sentence; empty where it was. Everything else is then as last known.",
		),
});

/** As a program gives them, with the defaults left out. */
export type FileSetInputs = z.input<typeof fileSetInputs>;
/** With the defaults filled in. */
export type FileSetDeclaration = z.output<typeof fileSetInputs>;
export type FileSetState = FileSetDeclaration & z.output<typeof fileSetOutputs>;

export type Connection = z.output<typeof connection>;
export type ManagedFile = z.output<typeof file>;
export type ManagedLines = z.output<typeof lines>;
export type Precondition = z.input<typeof precondition>;
export type Check = z.input<typeof check>;
export type Hook = z.input<typeof hook>;
export type Condition = z.input<typeof condition>;
