/** Runs the lab's commands, each into its step's log. */
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ExecaError, execa } from "execa";
import { paths } from "./paths.ts";

export interface RunOptions {
	cwd?: string;
	env?: Record<string, string>;
	input?: string | Buffer;
	/** In milliseconds. */
	timeout?: number;
	/** Called with each line as it is printed, to show progress. */
	onLine?: (line: string) => void;
}

/** A step failed; the message names the command and where its log is. */
export class StepError extends Error {}

/** One step of the lab: what it runs goes to one log. */
export class Step {
	readonly name: string;
	readonly log: string;

	constructor(name: string) {
		this.name = name;
		this.log = join(paths.logs, `${name}.log`);
	}

	/** Resolves with standard output, trimmed; rejects with a StepError unless the command ends with 0. */
	async run(file: string, args: string[], options: RunOptions = {}): Promise<string> {
		await mkdir(paths.logs, { recursive: true });
		const command = [file, ...args].join(" ");
		await appendFile(this.log, `\n${new Date().toISOString()} $ ${command}\n`);
		const { onLine, ...rest } = options;
		const child = execa(file, args, { ...rest, all: true, ...(rest.input === undefined && { stdin: "ignore" }) });
		try {
			if (onLine) for await (const line of child.iterable({ from: "all" })) onLine(line);
			const { stdout, all } = await child;
			await appendFile(this.log, `${all}\n`);
			return stdout.trim();
		} catch (error) {
			if (!(error instanceof ExecaError)) throw error;
			await appendFile(this.log, `${error.all ?? ""}\n${error.shortMessage}\n`);
			const said = String(error.all ?? "")
				.trim()
				.split("\n")
				.slice(-15)
				.join("\n");
			const shown = command.length > 200 ? `${command.slice(0, 200)} ...` : command;
			throw new StepError(
				`${this.name}: "${shown}" failed (${error.code ?? error.signal ?? `exit ${error.exitCode}`}); its log is ${this.log}\n${said}`,
			);
		}
	}

	/** Like `run`, but resolves with undefined where the command fails: for questions, not for work. */
	async ask(file: string, args: string[], options: RunOptions = {}): Promise<string | undefined> {
		return this.run(file, args, options).catch((error: unknown) => {
			if (error instanceof StepError) return undefined;
			throw error;
		});
	}
}

/** Asks until the answer is not undefined or false; throws a StepError that says what was awaited when time is up. */
export async function until<T>(what: string, seconds: number, ask: () => Promise<T | undefined | false>): Promise<T> {
	const deadline = Date.now() + seconds * 1000;
	for (;;) {
		const answer = await ask();
		if (answer !== undefined && answer !== false) return answer;
		if (Date.now() > deadline) throw new StepError(`${what}: not so after ${seconds} s`);
		await new Promise((resolve) => setTimeout(resolve, 200));
	}
}

/**
 * True where the process runs and its command line has `words` in it: a number may be somebody else's by now.
 * Where there is no /proc to tell, a number that is taken counts.
 */
export async function runs(pid: number, words: string): Promise<boolean> {
	try {
		process.kill(pid, 0);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
	}
	const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => undefined);
	return commandLine === undefined ? process.platform !== "linux" : commandLine.includes(words);
}
