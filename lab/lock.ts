import { appendFile, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { cache } from "./paths.ts";
import { runs, StepError } from "./run.ts";

/** One `make lab` at a time a machine, whichever checkout it comes from. */
export async function lock(): Promise<AsyncDisposable> {
	const path = join(cache, "lock");
	await mkdir(cache, { recursive: true });
	for (;;) {
		try {
			const file = await open(path, "wx");
			await appendFile(file, `${process.pid}`);
			await file.close();
			return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
			const pid = Number(await readFile(path, "utf8").catch(() => ""));
			if (pid && (await runs(pid, "main.ts")))
				throw new StepError(`another make is at work on the lab (pid ${pid}); wait for it to end`);
			await rm(path, { force: true }); // Its owner was killed.
		}
	}
}
