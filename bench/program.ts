/** A copy of this program, because Pulumi writes a stack's config beside the program, and the config here is the lab's. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { PROJECT } from "../config.ts";
import { STACK } from "../lab/estate.ts";
import { checkout } from "../lab/paths.ts";

/** Of a stack, by key without the project's name. */
export type Values = Record<string, unknown>;

/** Copies it into a new folder of that folder; resolves with the copy's path. */
export function copyOfProgram(folder: string): string {
	const copy = join(folder, "program");
	const skipped = ["node_modules", ".git", "out"].map((name) => join(checkout, name));
	cpSync(checkout, copy, { recursive: true, filter: (source) => !skipped.includes(source) });
	symlinkSync(join(checkout, "node_modules"), join(copy, "node_modules"));
	return copy;
}

/** Writes the lab's config to that file, changed, its secrets as they are. */
export function writeConfig(file: string, change: (values: Values) => void): void {
	const lab = parse(readFileSync(join(checkout, `Pulumi.${STACK}.yaml`), "utf8"));
	const prefix = `${PROJECT}:`;
	const values: Values = Object.fromEntries(
		Object.entries(lab.config as Values).map(([key, value]) => [key.slice(prefix.length), value]),
	);
	change(values);
	const config = Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
	writeFileSync(file, stringify({ ...lab, config }, { aliasDuplicateObjects: false }));
}
