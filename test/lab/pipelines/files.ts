/** The files of this checkout that tell a CI server what to do. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { checkout } from "../lab.ts";

/** Those in a folder of the checkout, by their names without the ending. */
export async function workflowNames(folder: string): Promise<string[]> {
	return (await readdir(join(checkout, folder))).map((file) => file.replace(".yaml", ""));
}

export async function readWorkflow<T>(folder: string, name: string): Promise<T> {
	return parse(await readFile(join(checkout, folder, `${name}.yaml`), "utf8"));
}
