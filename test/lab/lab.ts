/** What lab tests do to the lab: run its commands, and put it back as the program declares it. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa, type Options } from "execa";
import { parse, stringify } from "yaml";
import { copyProgram } from "../../lab/copyProgram.ts";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { registryVm, STACK } from "../../lab/estate.ts";
import { buildImages } from "../../lab/images.ts";
import { Step } from "../../lab/run.ts";

export const checkout = join(import.meta.dirname, "../..");

export interface Outcome {
	exitCode: number;
	/** Standard output and standard error, as a person sees them. */
	output: string;
	stdout: string;
}

/** Runs a command; never throws for its exit code. */
export async function run(file: string, args: string[], options: Options = {}): Promise<Outcome> {
	const { exitCode, all, stdout, shortMessage } = await execa(file, args, {
		all: true,
		reject: false,
		...(options.input === undefined && { stdin: "ignore" }),
		...options,
	});
	if (exitCode === undefined) throw new Error(shortMessage);
	return { exitCode, output: String(all), stdout: String(stdout) };
}

/** Runs a shell command on the registry VM; never throws for its exit code. */
export function askVm(command: string, options: Options = {}): Promise<Outcome> {
	return run("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", command], options);
}

/** Runs a shell command on the registry VM; throws unless it ends with 0. */
export async function onVm(command: string): Promise<string> {
	const { exitCode, output, stdout } = await askVm(command);
	if (exitCode !== 0) throw new Error(`on the VM, "${command}" ended with ${exitCode}: ${output}`);
	return stdout;
}

/** What crane and regctl need in order to push to the lab's private registry; their files go into the folder. */
export async function loggedIn(folder: string): Promise<{ env: Record<string, string> }> {
	const auth = Buffer.from(`${env("LAB_REGISTRY_USER")}:${env("LAB_REGISTRY_PASSWORD")}`).toString("base64");
	await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [env("LAB_REGISTRY")]: { auth } } }));
	const files = { DOCKER_CONFIG: folder, REGCTL_CONFIG: join(folder, "regctl.json") };
	return { env: { SSL_CERT_FILE: env("LAB_REGISTRY_CA"), ...files } };
}

/** Runs pulumi against a stack in a folder. */
export function pulumi(args: string[], folder = checkout, environment: Record<string, string> = {}): Promise<Outcome> {
	return run("pulumi", [...args, "--non-interactive"], { cwd: folder, env: environment });
}

/** Waits for a command; throws, with what it printed, unless it ends with 0. */
export async function succeeds(asked: Promise<Outcome>): Promise<Outcome> {
	const outcome = await asked;
	if (outcome.exitCode !== 0) throw new Error(`it ended with ${outcome.exitCode}:\n${outcome.output}`);
	return outcome;
}

/** `pulumi up`, which has to succeed. */
export function up(): Promise<Outcome> {
	return succeeds(pulumi(["up", "--yes", "--skip-preview", "--stack", STACK]));
}

/** Runs make in the checkout; never throws for its exit code. */
export function make(...targets: string[]): Promise<Outcome> {
	return run("make", ["-s", ...targets], { cwd: checkout });
}

/** Where a file notes that it left its estate as declared, for the next one of the same run: beside its results, if any. */
const notes = process.env["TEST_RESULTS"] === undefined ? tmpdir() : dirname(process.env["TEST_RESULTS"]);
const mark = join(notes, `homelab-registry-clean-${process.ppid}-${process.env["LAB_ESTATE"] ?? "first"}`);

/** Before a file's tests: the estate as the program declares it, which is nothing to do where the file before left it so. */
export async function begin(): Promise<void> {
	if (process.env[CLEAN] === undefined) await up();
	delete process.env[CLEAN];
}

/** After a file's tests: the same. */
export async function leave(): Promise<void> {
	await up();
	await writeFile(mark, "");
}

/** Drops that note: from here on, this file may change the estate. */
export async function takeNote(): Promise<void> {
	const isClean = await rm(mark).then(
		() => true,
		() => false,
	);
	if (isClean) process.env[CLEAN] = "1";
}
const CLEAN = "LAB_IS_CLEAN";

/** The drift check: exit code 0 only where there is nothing to do. */
export function drift(): Promise<Outcome> {
	return pulumi(["preview", "--refresh", "--diff", "--expect-no-changes", "--stack", STACK]);
}

/** The plain values in a stack's file, with the project's name before each key. */
export type StackConfig = Record<string, unknown>;

/** What is declared of a host. */
export function hostConfig(config: StackConfig, name: string): Record<string, unknown> & { dns: object } {
	return (config["homelab-registry:hosts"] as Record<string, Record<string, unknown> & { dns: object }>)[name] as never;
}

/** What is declared of the registry VM in its role. */
export function registryConfig(config: StackConfig): Record<string, unknown> & {
	caches: { port: number; upstream: string }[];
	private: { maxSize: string };
} {
	return hostConfig(config, registryVm.hostname)["registry"] as never;
}

/** A copy of the checkout whose code and config a test may change, for the same stack and estate. */
export interface Variant extends AsyncDisposable {
	folder: string;
	/** Changes the stack's config from here on. */
	configure(change: (config: StackConfig) => unknown): Promise<void>;
	/** Replaces text in one file of the copy; throws where that text is not in it. */
	edit(file: string, text: string, replacement: string): Promise<void>;
	/** Starts again from the checkout's config. */
	reset(): Promise<void>;
	/** Runs `pulumi up` from the copy. */
	up(): Promise<Outcome>;
}

export async function variant(): Promise<Variant> {
	const folder = await mkdtemp(join(tmpdir(), "homelab-registry-test-"));
	await copyProgram(folder);
	const file = join(folder, `Pulumi.${STACK}.yaml`);
	return {
		folder,
		async configure(change) {
			const { config, ...rest } = parse(await readFile(file, "utf8")) as { config: StackConfig };
			change(config);
			await writeFile(file, stringify({ ...rest, config }));
		},
		async edit(name, text, replacement) {
			const before = await readFile(join(folder, name), "utf8");
			if (!before.includes(text)) throw new Error(`${name} does not contain: ${text}`);
			await writeFile(join(folder, name), before.replace(text, replacement));
		},
		reset: () => cp(join(checkout, `Pulumi.${STACK}.yaml`), file),
		up: () => pulumi(["up", "--yes", "--skip-preview", "--stack", STACK], folder),
		[Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
	};
}

export function env(name: string): string {
	const value = process.env[name];
	if (value === undefined) throw new Error(`${name} is not set; are these tests run by make test?`);
	return value;
}

/** The image with Prometheus, promtool, Alertmanager and Pushgateway. */
export async function monitoringImage(): Promise<string> {
	const step = new Step("test-monitoring-image");
	return (await buildImages((await findEngine(step)) as Engine, step, () => {})).monitoring;
}

/** Runs docker against the lab's engine; throws unless it ends with 0. */
export async function docker(...args: string[]): Promise<Outcome> {
	const outcome = await run("docker", args, { env: { DOCKER_HOST: env("LAB_DOCKER_HOST") } });
	if (outcome.exitCode !== 0) throw new Error(`docker ${args.join(" ")}: ${outcome.output}`);
	return outcome;
}

/** The names of those that were started between two looks at them. */
export function restarted(before: Containers, after: Containers): string[] {
	return Object.keys(after).filter((name) => after[name]?.startedAt !== before[name]?.startedAt);
}

export type Containers = Record<string, { id: string; startedAt: string }>;

/** Container ids and start times on the VM, by container name. */
export async function containers(): Promise<Containers> {
	const lines = await onVm(
		"docker ps --all --quiet | xargs docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}}'",
	);
	return Object.fromEntries(
		lines.split("\n").map((line) => {
			const [name, id, startedAt] = line.split(" ") as [string, string, string];
			return [name.slice(1), { id, startedAt }];
		}),
	);
}
