/** Plays the workflows in .github, step by step, as GitHub's runner does it. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { env, type Outcome, run } from "../lab.ts";
import { forLab, isSuite, type Secrets, surroundings } from "./estate.ts";
import * as files from "./files.ts";
import { type Place, thisMachine } from "./place.ts";
import type { Filter } from "./woodpecker.ts";

interface Step {
	uses?: string;
	with?: Record<string, unknown>;
	run?: string;
	shell?: "bash";
	if?: string;
	env?: Record<string, string>;
}
export interface Workflow {
	on: Record<string, unknown> & { push?: Filter };
	permissions: Record<string, string>;
	concurrency?: string;
	jobs: Record<string, Job>;
}
interface Job {
	"runs-on": string;
	container?: { image: string };
	env?: Record<string, string>;
	steps: Step[];
}

const SECRETS: Record<string, keyof Secrets> = {
	PULUMI_BACKEND_URL: "backend",
	PULUMI_CONFIG_PASSPHRASE: "passphrase",
	VAULT_TOKEN: "vault",
	WOODPECKER_TOKEN: "woodpecker",
	SLACK_WEBHOOK: "slack",
	REGISTRY_USER: "registryUser",
	REGISTRY_PASSWORD: "registryPassword",
};

/** The actions that are played by what a test prepared. */
const ACTIONS = ["actions/checkout@v5", "actions/setup-node@v5"];

/** Whose the clone on a runner of one's own is when a job begins: not that of who runs the job's commands. */
const OTHER = 1001;
/** A public image, on any machine. */
const PUBLIC = "node";

const FOLDER = ".github/workflows";
export const workflowNames = () => files.workflowNames(FOLDER);
export const workflow = (name: string) => files.readWorkflow<Workflow>(FOLDER, name);

/** Text with the values of its expressions. Throws for one that GitHub would not know, or not tell in a pull request. */
function expand(text: string, event: string, secrets: Secrets, temp: string): string {
	return String(text).replace(/\$\{\{ *(\w+)\.(\w+) *\}\}/g, (expression, context: string, name: string) => {
		if (context === "secrets" && event === "pull_request") throw new Error(`${expression} in a pull request`);
		const secret = SECRETS[name];
		if (context === "secrets" && secret !== undefined) return secrets[secret];
		if (context === "vars" && name === "VAULT_ADDR") return env("VAULT_ADDR");
		if (context === "runner" && name === "temp") return temp;
		throw new Error(`${expression} is not known`);
	});
}

/**
 * The one job: each step's script in a shell of its own, on the runner or in the job's container, where HOME is kept from
 * step to step. A runner of one's own keeps the clone from job to job: to a container, whose commands are root's, it is the
 * runner's, and to the runner it is root's, where a job in a container was there before. After the first step that fails,
 * only the steps for failures. `change` is for what a script can't do in the lab as it stands.
 */
export async function play(
	name: string,
	event: string,
	cwd: string,
	secrets: Secrets,
	place: (image: string) => Place,
	change = (script: string) => script,
): Promise<Outcome & { summary: string }> {
	const [job, ...others] = Object.values((await workflow(name)).jobs);
	if (job === undefined || others.length > 0) throw new Error(`${name} should have one job`);
	const home = `${cwd}.home`;
	const [script, summary] = [join(home, "script"), join(home, "summary")];
	await mkdir(home, { recursive: true });
	await writeFile(summary, "");
	const at = job.container ? place(job.container.image) : thisMachine;
	const isKept = job["runs-on"] === "self-hosted";
	if (isKept) await place(job.container?.image ?? PUBLIC)(["chown", "--recursive", String(OTHER), cwd], cwd, {});
	const git = ["-c", `safe.directory=${cwd}`, "rev-parse", "HEAD"];
	const github = {
		CI: "true",
		GITHUB_SHA: (await run("git", git, { cwd })).stdout,
		GITHUB_WORKSPACE: cwd,
		GITHUB_STEP_SUMMARY: summary,
		GITHUB_SERVER_URL: "https://github.example",
		GITHUB_REPOSITORY: "somebody/infra",
		GITHUB_RUN_ID: "1",
		RUNNER_TEMP: home,
		HOME: home,
	};
	const last: Outcome = { exitCode: 0, output: "", stdout: "" };
	for (const step of job.steps) {
		if (step.uses !== undefined) {
			if (!ACTIONS.includes(step.uses)) throw new Error(`${step.uses} is not played`);
			const isCheckout = step.uses.startsWith("actions/checkout@");
			if (isCheckout && !job.container && last.exitCode === 0) await refuseOthers(cwd, last);
			continue;
		}
		if ((last.exitCode === 0) !== (step.if === undefined)) continue;
		if (step.if !== undefined && step.if !== "failure()") throw new Error(`"if: ${step.if}" is not played`);
		if (isSuite(step.run ?? "")) continue;
		const declared = Object.entries({ ...job.env, ...step.env });
		const own = Object.fromEntries(declared.map(([key, value]) => [key, expand(value, event, secrets, home)]));
		await writeFile(script, change(forLab(step.run ?? "")));
		const bash = step.shell === "bash" ? ["bash", "--noprofile", "--norc", "-eo", "pipefail"] : undefined;
		const shell = bash ?? (job.container ? ["sh", "-e"] : ["bash", "-e"]);
		const { exitCode, output } = await at([...shell, script], cwd, { ...own, ...github, ...surroundings() });
		last.output += output;
		last.exitCode ||= exitCode;
	}
	return { ...last, summary: await readFile(summary, "utf8") };
}

/** The checkout takes away what the job before left, and fails at the first file that is not its own. */
async function refuseOthers(cwd: string, last: Outcome): Promise<void> {
	const { stdout } = await run("find", [cwd, "!", "-user", String(process.getuid?.()), "-print", "-quit"]);
	if (stdout === "") return;
	last.output += `Error: File was unable to be removed Error: EACCES: permission denied, unlink '${stdout}'\n`;
	last.exitCode = 1;
}
