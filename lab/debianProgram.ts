/** Programs from Debian's packages that are used without being installed, so that nothing of theirs runs by itself. */
import { access, constants, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { paths } from "./paths.ts";
import type { Step } from "./run.ts";

export interface DebianProgram {
	/** Absolute. */
	path: string;
	/** For LD_LIBRARY_PATH; empty where the program is this machine's own. */
	libraries: string;
}

/**
 * The program at that path, this machine's own where it has it, else out of these packages, which are fetched once.
 * Throws a StepError where they can't be had.
 */
export async function debianProgram(step: Step, path: string, packages: string[]): Promise<DebianProgram> {
	if (await isExecutable(path)) return { path, libraries: "" };
	const folder = join(paths.tools, `debian-${packages.join("-")}`);
	if (!(await isExecutable(join(folder, path)))) {
		const half = `${folder}.half-${process.pid}`;
		await mkdir(half, { recursive: true });
		const download = ["download", ...packages];
		if ((await step.ask("apt-get", download, { cwd: half })) === undefined) {
			await step.run("apt-get", ["update", "-q"]);
			await step.run("apt-get", download, { cwd: half });
		}
		await step.run("sh", ["-c", 'for package in *.deb; do dpkg -x "$package" . && rm "$package"; done'], { cwd: half });
		await rename(half, folder).catch(async (error: NodeJS.ErrnoException) => {
			if (!["ENOTEMPTY", "EEXIST"].includes(error.code ?? "")) throw error;
			await rm(half, { recursive: true }); // Somebody else was quicker, and may use it already.
		});
	}
	const libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
	return { path: join(folder, path), libraries: libraries.map((name) => join(folder, name)).join(":") };
}

function isExecutable(file: string): Promise<boolean> {
	return access(file, constants.X_OK).then(
		() => true,
		() => false,
	);
}
