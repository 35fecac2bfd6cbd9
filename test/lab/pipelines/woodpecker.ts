/** Plays the pipelines in .woodpecker, step by step, as Woodpecker runs them. */
import { type Outcome, run } from "../lab.ts";
import { forLab, isSuite, type Secrets, surroundings } from "./estate.ts";
import * as files from "./files.ts";
import type { Place } from "./place.ts";

type Value = string | { from_secret: string };
export interface Step {
	name: string;
	image: string;
	environment?: Record<string, Value>;
	settings?: Record<string, unknown>;
	commands?: string[];
	when?: { status?: string }[];
}
/** Which changed paths start it. */
export interface Filter {
	/** Woodpecker's name for it. */
	path?: string | { include: string[] };
	/** GitHub's. */
	paths?: string[];
}
export interface Workflow {
	when: (Filter & { event: string; evaluate?: string })[];
	steps: Step[];
}

/** In which events Woodpecker gives each secret of the repository to a pipeline. */
const SECRETS: Record<string, { events: string[]; of: keyof Secrets }> = {
	pulumi_backend_url: { events: ["push", "manual", "cron"], of: "backend" },
	pulumi_config_passphrase: { events: ["push", "manual", "cron"], of: "passphrase" },
	woodpecker_admin_token: { events: ["push", "manual", "cron"], of: "woodpecker" },
	slack_webhook: { events: ["push", "manual", "cron"], of: "slack" },
	registry_user: { events: ["push", "manual"], of: "registryUser" },
	registry_password: { events: ["push", "manual"], of: "registryPassword" },
};

const FOLDER = ".woodpecker";
export const workflowNames = () => files.workflowNames(FOLDER);
export const workflow = (name: string) => files.readWorkflow<Workflow>(FOLDER, name);

/** What a step's commands have in their environment. Throws where Woodpecker would not give it a secret. */
export function environment(step: Step, event: string, secrets: Secrets): Record<string, string> {
	const declared = Object.entries(step.environment ?? {}).map(([name, value]) => {
		if (typeof value === "string") return [name, value] as const;
		const secret = SECRETS[value.from_secret];
		if (!secret?.events.includes(event))
			throw new Error(`secret ${value.from_secret} is not given in the event ${event}`);
		return [name, secrets[secret.of]] as const;
	});
	return {
		CI: "woodpecker",
		CI_COMMIT_TARGET_BRANCH: "master",
		...Object.fromEntries(declared),
		...surroundings(),
	};
}

/**
 * The commands of each step where its image says, after Woodpecker has put in what is between ${ and }. After the first
 * step that fails, only those for failures.
 */
export async function play(
	name: string,
	event: string,
	cwd: string,
	secrets: Secrets,
	place: (image: string) => Place,
): Promise<Outcome> {
	const { steps } = await workflow(name);
	const last: Outcome = { exitCode: 0, output: "", stdout: "" };
	const commit = { CI_COMMIT_SHA: (await run("git", ["rev-parse", "HEAD"], { cwd })).stdout };
	for (const step of steps) {
		if (last.exitCode === 0 ? step.when : !step.when?.some(({ status }) => status === "failure")) continue;
		const variables = { ...environment(step, event, secrets), ...commit };
		const commands = (step.commands ?? []).filter((command) => !isSuite(command));
		if (commands.length === 0) continue;
		const script = scriptOf(commands.map((command) => forLab(expand(command, variables))));
		const { exitCode, output } = await place(step.image)(START, cwd, { ...variables, CI_SCRIPT: script });
		last.output += output;
		last.exitCode ||= exitCode;
	}
	return last;
}

/** What the agent starts in a step's container, from Woodpecker 1 to 3: the shell reads the script from standard input. */
const START = ["/bin/sh", "-c", "echo $CI_SCRIPT | base64 -d | /bin/sh -e"];

/** Each command is shown before it runs. What one leaves in its shell is not there for the next: no command may need it. */
function scriptOf(commands: string[]): string {
	const lines = commands.map((command) => `echo + '${command.replaceAll("'", "'\\''")}'\n(\n${command}\n)\n`);
	return Buffer.from(`unset CI_SCRIPT\n${lines.join("")}`).toString("base64");
}

/** As Woodpecker does it, and its docs say: `${NAME}`, `${NAME:from:length}`; `$${NAME}` is the shell's. */
export function expand(text: string, variables: Record<string, string>): string {
	return text.replace(/(\$?)\$\{(\w+)(?::(\d+):(\d+))?\}/g, (_, escaped, word, from, length) => {
		if (escaped) return `\${${word}}`;
		const value = variables[word] ?? "";
		return from === undefined ? value : value.slice(Number(from), Number(from) + Number(length));
	});
}
