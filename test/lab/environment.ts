/** Gives a lab test the environment that `make lab-env` prints, of the estate that it uses. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { takeNote } from "./lab.ts";

const main = join(import.meta.dirname, "../../lab/main.ts");
const exports = execFileSync(process.execPath, [main, "env"], { encoding: "utf8" });
for (const [, name, value] of exports.matchAll(/^export (\w+)='(.*)'$/gm)) {
	process.env[name as string] = (value as string).replaceAll("'\\''", "'");
}

await takeNote();
