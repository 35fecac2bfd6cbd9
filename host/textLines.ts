/** Some lines of somebody else's text file. Text is in latin1, one character a byte, so that every byte survives. */
import { endsWith, type ManagedLines } from "./fileSetSchema.ts";

type Lines = Pick<ManagedLines, "present" | "absent">;
type Wanted = Lines["present"][number] | Lines["absent"][number];

/**
 * What the text has of the lines that are declared: each present one as it is there, as often as it is there, and each
 * absent one that is really not there. Equal to the declaration where nothing has to be changed.
 */
export function readLines(text: string, { present, absent }: Lines): Lines {
	const found = split(text);
	return {
		present: present.flatMap((wanted) =>
			found.filter((line) => matches(line, wanted)).map((line) => ({ ...wanted, text: fromBytes(bare(line)) })),
		),
		absent: absent.filter((wanted) => !found.some((line) => matches(line, wanted))),
	};
}

/** The lines that `writeLines` takes out, as they are there, without their newlines. */
export function goingLines(text: string, { absent }: Lines): string[] {
	return split(text)
		.filter((line) => absent.some((wanted) => matches(line, wanted)))
		.map((line) => fromBytes(bare(line)));
}

/** The text with the lines as declared. A line that differs is replaced where it is, one that is missing is appended. */
export function writeLines(text: string, { present, absent }: Lines): string {
	let lines = split(text).filter((line) => !absent.some((wanted) => matches(line, wanted)));
	for (const wanted of present) {
		const first = lines.findIndex((line) => matches(line, wanted));
		if (first === -1) {
			const last = lines.at(-1);
			if (last !== undefined && !last.endsWith("\n")) lines[lines.length - 1] = `${last}\n`;
			lines.push(`${toBytes(wanted.text)}\n`);
			continue;
		}
		const ending = /\r?\n?$/.exec(lines[first] as string)?.[0] ?? "";
		lines[first] = toBytes(wanted.text) + ending;
		lines = lines.filter((line, i) => i <= first || !matches(line, wanted));
	}
	return lines.join("");
}

/** Each line with its ending. */
function split(text: string): string[] {
	return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function bare(line: string): string {
	return line.replace(/\r?\n?$/, "");
}

function matches(line: string, wanted: Wanted): boolean {
	const content = bare(line);
	const { text, label } = wanted;
	const pattern = "pattern" in wanted ? wanted.pattern : undefined;
	if (label === undefined && pattern === undefined) return content === toBytes(text as string);
	// What is commented out is not in force, whatever it says.
	if (content.trimStart().startsWith("#") && !text?.trimStart().startsWith("#")) return false;
	if (pattern !== undefined) return new RegExp(pattern, "u").test(fromBytes(content));
	return endsWith(content, toBytes(label as string));
}

function toBytes(text: string): string {
	return Buffer.from(text, "utf8").toString("latin1");
}

function fromBytes(text: string): string {
	return Buffer.from(text, "latin1").toString("utf8");
}
