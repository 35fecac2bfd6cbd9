/**
 * make tour: runs the commands of README.md and docs/tour.md against the lab, in the order in which they stand there, each
 * in a shell of its own, and puts what they print below them. In a block `console`, a line that begins with "$ " is a command; a comment
 * `<!-- $ command -->` is one that is not shown. Ends with 1 where one of them ends otherwise than the page says:
 * "# exit status N" at its end, 0 without it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { execa } from "execa";
import { checkout } from "./paths.ts";
import { labEnvironment } from "./status.ts";

const PAGES = ["README.md", "docs/tour.md"];
/** Of one command's output: the page is read by people. */
const WIDTH = 160;
const STATUS = /\s+# exit status (\d+)$/;

const env = await labEnvironment();
for (const page of PAGES) {
	const file = join(checkout, page);
	const parts = (await readFile(file, "utf8")).split(/(^```console\n[\s\S]*?^```$|^<!-- \$ .*? -->$)/m);
	for (const [i, part] of parts.entries()) {
		const hidden = /^<!-- \$ (.*) -->$/.exec(part)?.[1];
		if (hidden !== undefined) await answer(hidden);
		if (!part.startsWith("```console\n")) continue;
		const commands = [...part.matchAll(/^\$ (.*)$/gm)].map(([, command]) => command as string);
		const lines: string[] = [];
		for (const command of commands) lines.push(`$ ${command}`, ...(await answer(command)));
		parts[i] = ["```console", ...lines, "```"].join("\n");
	}
	await writeFile(file, parts.join(""));
}

/** What it prints, as it would be read on a terminal. */
async function answer(command: string): Promise<string[]> {
	console.error(`$ ${command}`);
	const expected = Number(STATUS.exec(command)?.[1] ?? 0);
	const { all, exitCode } = await execa("bash", ["-o", "pipefail", "-c", command], {
		...{ cwd: checkout, env, all: true, reject: false, stdin: "ignore" },
	});
	if (exitCode !== expected) {
		console.error(`${all}\nended with ${exitCode} instead of ${expected}`);
		process.exit(1);
	}
	if (all === "") return [];
	const lines = stripVTControlCharacters(all).split("\n");
	return lines.map((line) => (line.length > WIDTH ? `${line.slice(0, WIDTH)}...` : line).trimEnd());
}
