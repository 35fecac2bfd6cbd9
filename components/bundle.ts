/** Programs of this repository as single files, for machines that have Node.js and nothing else. */
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const bundles = new Map<string, string>();

export interface BundleOptions {
	/** The oldest Node.js that has to run it, for example `node18`. */
	target: string;
	/** `esm` by default; `cjs` where a library in the bundle needs that. */
	format?: "esm" | "cjs";
	/** True where size counts more than that a person can read it. False by default. */
	minify?: boolean;
}

/** The program whose main module is `entry`, with all that it imports, as the text of one file. Throws where esbuild refuses it. */
export function bundle(entry: URL, { target, format = "esm", minify = false }: BundleOptions): string {
	const known = bundles.get(entry.href);
	if (known !== undefined) return known;
	const [file] = buildSync({
		entryPoints: [fileURLToPath(entry)],
		bundle: true,
		write: false,
		platform: "node",
		format,
		target,
		minify,
		charset: "utf8",
	}).outputFiles;
	if (file === undefined) throw new Error(`esbuild made nothing of ${entry}`);
	bundles.set(entry.href, file.text);
	return file.text;
}
