/** Programs of this repository as single files, for machines that have Node.js and nothing else. */
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const bundles = new Map<string, string>();

interface BundleOptions {
	/** The oldest Node.js that has to run it, for example `node18`. */
	target: string;
	/** `esm` unless said otherwise; `cjs` where a library it takes along needs that. */
	format?: "esm" | "cjs";
	/** Where size counts more than that a person can read it. */
	minify?: boolean;
}

/** `entry` is a path in this repository. */
export function bundle(entry: string, { target, format = "esm", minify = false }: BundleOptions): string {
	const known = bundles.get(entry);
	if (known !== undefined) return known;
	const [file] = buildSync({
		entryPoints: [fileURLToPath(new URL(`../${entry}`, import.meta.url))],
		bundle: true,
		write: false,
		platform: "node",
		format,
		target,
		minify,
		charset: "utf8",
	}).outputFiles;
	if (file === undefined) throw new Error(`esbuild made nothing of ${entry}`);
	bundles.set(entry, file.text);
	return file.text;
}
