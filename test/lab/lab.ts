/** What lab tests do to the lab: run its commands, and put it back as the program declares it. */
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, type Options } from "execa";

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

/** Runs a shell command on the registry VM; throws unless it ends with 0. */
export async function onVm(command: string): Promise<string> {
	const { exitCode, output, stdout } = await run("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", command]);
	if (exitCode !== 0) throw new Error(`on the VM, "${command}" ended with ${exitCode}: ${output}`);
	return stdout;
}

/** Runs pulumi against a stack in a folder. */
export function pulumi(args: string[], folder = checkout, environment: Record<string, string> = {}): Promise<Outcome> {
	return run("pulumi", [...args, "--non-interactive"], { cwd: folder, env: environment });
}

/** `pulumi up`, which has to succeed. */
export async function up(): Promise<Outcome> {
	const outcome = await pulumi(["up", "--yes", "--stack", "lab"]);
	if (outcome.exitCode !== 0) throw new Error(`pulumi up failed:\n${outcome.output}`);
	return outcome;
}

/** The drift check of facts.md: exit code 0 only where there is nothing to do. */
export function drift(): Promise<Outcome> {
	return pulumi(["preview", "--refresh", "--diff", "--expect-no-changes", "--stack", "lab"]);
}

/** A copy of the checkout whose files a test may change; removed when the returned resource is disposed of. */
export async function copyOfCheckout(): Promise<{ folder: string } & AsyncDisposable> {
	const folder = await mkdtemp(join(tmpdir(), "homelab-registry-test-"));
	await cp(checkout, folder, {
		recursive: true,
		filter: (source) =>
			!source.startsWith(join(checkout, "node_modules")) && !source.startsWith(join(checkout, ".git")),
	});
	await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
	return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

export function env(name: string): string {
	const value = process.env[name];
	if (value === undefined) throw new Error(`${name} is not set; are these tests run by make test?`);
	return value;
}

/** Container ids and start times on the VM, by container name. */
export async function containers(): Promise<Record<string, { id: string; startedAt: string }>> {
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
