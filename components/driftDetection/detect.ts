/** Looks at a stack by Pulumi's Automation API, without changing it, its state, or which stack is selected. */
import { CommandError, type EngineEvent, LocalWorkspace, Stack } from "@pulumi/pulumi/automation/index.js";
import type { Accepted } from "./args.ts";
import { Gatherer, listed, type StackReport, whatUpdateDid } from "./report.ts";

export interface Look {
	/** The folder with Pulumi.yaml. */
	folder: string;
	stack: string;
	accepted: Accepted[];
	/** Texts that no report may show. */
	secrets: string[];
	/** After how many seconds it has not been found out. */
	deadline: number;
	/** Also brings back what has drifted, by `pulumi up`. */
	fix: boolean;
	/** Called with what is being done, a few words. */
	progress(what: string): void;
}

/** Never throws: what goes wrong is in the report. */
export async function detect(look: Look): Promise<StackReport> {
	const report = await preview(look);
	if (!look.fix || report.state !== "drift") return report;
	const { stack } = look;
	look.progress(`${stack}: pulumi up`);
	const gatherer = new Gatherer();
	const failure = await run(look, async (opened, signal) => {
		await opened.up({ color: "never", signal, onEvent: (event) => gatherer.take(event) });
	});
	if (failure !== undefined) {
		const reasons = gatherer.problems(failure).map(mask(look.secrets)).join("\n");
		return {
			...report,
			state: "error",
			errors: [`pulumi up, which was to put back ${listed(report.drifted)}, failed: ${reasons}`],
		};
	}
	const after = await preview(look);
	return { ...after, fixed: whatUpdateDid(report, after) };
}

async function preview(look: Look): Promise<StackReport> {
	const { stack, accepted, secrets } = look;
	look.progress(`${stack}: looking at every resource`);
	const gatherer = new Gatherer();
	const onEvent = (event: EngineEvent) => gatherer.take(event);
	const failure = await run(look, async (opened, signal) => {
		await opened.preview({ refresh: true, color: "never", onEvent, signal });
	});
	const today = new Date().toISOString().slice(0, 10);
	return gatherer.report(stack, { failure, accepted, mask: mask(secrets), today });
}

/** Resolves with why it failed, undefined where it did not. */
async function run(look: Look, act: (stack: Stack, signal: AbortSignal) => Promise<void>): Promise<string | undefined> {
	const { deadline } = look;
	const signal = AbortSignal.timeout(deadline * 1000);
	try {
		await act(await openStack(look), signal);
		return undefined;
	} catch (error) {
		if (signal.aborted) return `it did not end within ${deadline} seconds`;
		return whatWentWrong(error);
	}
}

/** The stack of the project in that folder, without selecting it. Throws where there is none. */
export async function openStack({ folder, stack }: Pick<Look, "folder" | "stack">): Promise<Stack> {
	const workspace = await LocalWorkspace.create({ workDir: folder });
	// Opening a stack selects it, which a person who has selected another one would not expect.
	workspace.selectStack = async () => {};
	return Stack.select(stack, workspace);
}

/** Why a command of Pulumi failed, in its own last words. */
export function whatWentWrong(error: unknown): string {
	return error instanceof CommandError ? lastWords(error.message) : (error as Error).message;
}

/** Of a command that failed: what it said at last, without the resources that it lists before. */
function lastWords(message: string): string {
	const stderr = /stderr: ([\s\S]*?)\n+err\??: /.exec(message)?.[1]?.trim();
	const stdout = /stdout: ([\s\S]*?)\nstderr: /.exec(message)?.[1]?.trim();
	const words = stderr || stdout?.slice(stdout.indexOf("Diagnostics:")) || message;
	return words.split("\n").slice(-20).join("\n");
}

/** Replaces every line of the secrets, where it is long enough not to be an everyday word. */
export function mask(secrets: string[]): (text: string) => string {
	const lines = secrets.flatMap((secret) => secret.split("\n")).filter((line) => line.trim().length >= 8);
	const longest = [...new Set(lines)].sort((a, b) => b.length - a.length);
	return (text) => longest.reduce((masked, line) => masked.replaceAll(line, "[secret]"), text);
}
