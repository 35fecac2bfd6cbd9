/** Programs as single files: for machines that have Node.js and nothing else, and where many modules load too slowly. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { buildSync, version } from "esbuild";

const checkout = join(import.meta.dirname, "..");
/** Kept from run to run, because esbuild takes longer than all the rest of a program's start. */
const cache = join(checkout, "node_modules", ".cache", "bundles");
/** Where npm notes what it has installed. */
const INSTALLED = "node_modules/.package-lock.json";
/** What a bundle depends on besides the sources that esbuild names. */
const SETTINGS = ["package.json", "tsconfig.json", INSTALLED];

export interface BundleOptions {
	/** The oldest Node.js that has to run it, for example `node18`. */
	target: string;
	/** `esm` by default; `cjs` where a library in the bundle needs that. */
	format?: "esm" | "cjs";
	/** True where size counts more than that a person can read it. False by default. */
	minify?: boolean;
	/** Files that stand for whole packages, from the checkout, by the package's name. */
	alias?: Record<string, string>;
}

interface Kept {
	/** SHA-256 of every file that the bundle depends on, by its path from the checkout. */
	inputs: Record<string, string>;
	text: string;
}

const bundles = new Map<string, string>();
const modules = new Map<string, unknown>();

/** The program whose main module is `entry`, with all that it imports, as the text of one file. Throws where esbuild refuses it. */
export function bundle(entry: URL, options: BundleOptions): string {
	const path = relative(checkout, fileURLToPath(entry));
	const file = join(cache, `${sha256(JSON.stringify([version, path, options]))}.json`);
	const text = bundles.get(file) ?? kept(file) ?? build(path, options, file);
	bundles.set(file, text);
	return text;
}

/**
 * The module `entry`, loaded from its bundle, once as by an import: of a library of a thousand modules, Node.js takes longer
 * to find them than to do what is asked of them. Throws where esbuild refuses it.
 */
export function loadBundle<Module>(entry: URL): Module {
	const loaded = modules.get(entry.href) ?? load(entry);
	modules.set(entry.href, loaded);
	return loaded as Module;
}

function load(entry: URL): unknown {
	const text = bundle(entry, { target: "node24", format: "cjs", minify: true });
	const module = { exports: {} };
	const run = compileFunction(text, ["module", "exports", "require"], { filename: fileURLToPath(entry) });
	run(module, module.exports, createRequire(entry));
	return module.exports;
}

/** The bundle of an earlier run, where everything that it was made of is still the same. */
function kept(file: string): string | undefined {
	try {
		const { inputs, text } = JSON.parse(readFileSync(file, "utf8")) as Kept;
		return Object.entries(inputs).every(([path, hash]) => hashOf(path) === hash) ? text : undefined;
	} catch {
		return undefined; // There is none yet.
	}
}

function build(path: string, options: BundleOptions, file: string): string {
	const { outputFiles, metafile } = buildSync({
		entryPoints: [path],
		absWorkingDir: checkout,
		bundle: true,
		write: false,
		metafile: true,
		platform: "node",
		format: "esm",
		charset: "utf8",
		...options,
	});
	const text = outputFiles[0]?.text;
	if (text === undefined) throw new Error(`esbuild made nothing of ${path}`);
	// A library may have a thousand modules, and npm's note tells as well whether they are the same.
	const isNoted = existsSync(join(checkout, INSTALLED));
	const sources = Object.keys(metafile.inputs).filter((path) => !(isNoted && /(^|\/)node_modules\//.test(path)));
	const inputs = Object.fromEntries([...sources, ...SETTINGS].map((path) => [path, hashOf(path)]));
	keep(file, { inputs, text });
	return text;
}

/** A checkout that can't be written does without. */
function keep(file: string, bundle: Kept): void {
	const half = `${file}.${process.pid}`;
	try {
		mkdirSync(cache, { recursive: true });
		writeFileSync(half, JSON.stringify(bundle));
		renameSync(half, file);
	} catch (error) {
		if (!["EACCES", "EROFS", "ENOSPC"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
	}
}

/** "absent" where there is no such file. */
function hashOf(path: string): string {
	const file = join(checkout, path);
	return existsSync(file) ? sha256(readFileSync(file)) : "absent";
}

function sha256(content: string | Buffer): string {
	return createHash("sha256").update(content).digest("hex");
}
