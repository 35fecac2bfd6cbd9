/**
 * npm run render -- STACK FOLDER: writes every file that the stack would put on a host to FOLDER/HOST/PATH, and every
 * Kubernetes object to FOLDER/kubernetes, without reaching anything. Secrets are not needed and not written.
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { ConfigError } from "../config.ts";
import { laidOut, rendered } from "./rendering.ts";

await new Command()
	.name("npm run render --")
	.description("Write every file and Kubernetes object that the stack would make, without reaching anything.")
	.argument("<stack>", "the stack, for example prod")
	.argument("<folder>", "where to write to: FOLDER/HOST/PATH and FOLDER/kubernetes")
	.action(render)
	.parseAsync()
	.catch((error: unknown) => {
		if (!(error instanceof ConfigError)) throw error;
		console.error(error.message);
		process.exitCode = 1;
	});

async function render(stack: string, folder: string): Promise<void> {
	const all = await rendered(stack);
	const files = Object.entries(laidOut(all));
	for (const [path, { content, mode }] of files) {
		const target = join(folder, path);
		await mkdir(dirname(target), { recursive: true });
		await writeFile(target, content, { mode: 0o600 });
		await chmod(target, Number.parseInt(mode, 8));
	}
	console.log(`${files.length} files of ${[...Object.keys(all.hosts), "kubernetes"].join(", ")} are in ${folder}`);
}
