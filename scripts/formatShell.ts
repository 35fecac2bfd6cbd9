/**
 * node scripts/formatShell.ts [--write] FILE ...: the shell scripts that are not formatted as the others are, one a line;
 * with --write, formats them. Exit status 1 where one is not, and was not written; an error where one does not parse.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { LangVariant, print } from "sh-syntax";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { write: { type: "boolean" } } });
for (const file of positionals) {
	const text = await readFile(file, "utf8");
	const formatted = await print(text, {
		filepath: file,
		variant: LangVariant.LangPOSIX,
		useTabs: true,
		indent: 0,
		binaryNextLine: false,
		switchCaseIndent: false,
		spaceRedirects: false,
		keepPadding: false,
	});
	if (formatted === text) continue;
	if (values.write) await writeFile(file, formatted);
	else process.exitCode = 1;
	console.log(`${file}: ${values.write ? "formatted" : "is not formatted; npm run format does it"}`);
}
