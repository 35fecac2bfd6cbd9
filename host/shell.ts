/** Shell scripts that are files of this repository, and the values that they are given. */
import { readFileSync } from "node:fs";

/** The text of the script `sh/<name>` beside the module with that `import.meta.url`. */
export function shellScript(module: string, name: string): string {
	return readFileSync(new URL(`sh/${name}`, module), "utf8");
}

/** One word of a POSIX shell, whatever is in the text. */
export function quote(text: string): string {
	return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A file that a shell script reads with `.`: an assignment a line. */
export function envFile(values: Record<string, string | number>): string {
	const lines = Object.entries(values).map(([name, value]) => `${name}=${quote(String(value))}\n`);
	return `# Managed by Pulumi: a change made here by hand is undone by the next update.\n${lines.join("")}`;
}

/** Rows as scripts read them: a tab between two fields, a newline between two rows. */
export function table(rows: (string | number)[][]): string {
	return rows.map((row) => row.join("\t")).join("\n");
}
