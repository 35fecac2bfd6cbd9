/** The lab's stack with other config. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { PROJECT } from "../config.ts";
import { STACK } from "../lab/estate.ts";
import { checkout } from "../lab/paths.ts";

/** Of a stack, by key without the project's name. */
export type Values = Record<string, unknown>;

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
