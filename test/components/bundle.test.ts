/** Bundles that are kept from run to run. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { afterAll, beforeEach, expect, it, vi } from "vitest";

vi.mock("esbuild", async (original) => {
	const real = await original<typeof import("esbuild")>();
	return { ...real, buildSync: vi.fn(real.buildSync) };
});

const folder = mkdtempSync(join(tmpdir(), "bundle-test-"));
const cache = join(import.meta.dirname, "../../node_modules/.cache/bundles");
/** The bundles of these tests that are kept; those that another test is writing have another ending. */
const kept = () =>
	readdirSync(cache)
		.filter((name) => name.endsWith(".json"))
		.filter((name) => readFileSync(join(cache, name), "utf8").includes(basename(folder)));
/** What they depend on. */
const inputs = () =>
	new Set(kept().flatMap((name) => Object.keys(JSON.parse(readFileSync(join(cache, name), "utf8")).inputs)));
afterAll(() => {
	for (const name of kept()) rmSync(join(cache, name));
	rmSync(folder, { recursive: true });
});
const source = (name: string) => join(folder, name);

/** As a run of its own: nothing is known from the one before but what it kept. */
async function bundled(target = "node24"): Promise<string> {
	vi.resetModules();
	const { bundle } = await import("../../components/bundle.ts");
	return bundle(pathToFileURL(source("main.ts")), { target });
}

beforeEach(() => {
	writeFileSync(source("main.ts"), 'import { word } from "./part.ts";\nconsole.log(word satisfies string);\n');
	writeFileSync(source("part.ts"), 'export const word = "first";\n');
	vi.mocked(buildSync).mockClear();
});

it("a program whose sources are the same is not bundled again, also in another run", async () => {
	const first = await bundled();
	vi.mocked(buildSync).mockClear();
	expect(await bundled()).toBe(first);
	expect(buildSync).not.toHaveBeenCalled();
});

it("a change in any of its sources makes it anew", async () => {
	await bundled();
	writeFileSync(source("part.ts"), 'export const word = "second";\n');
	expect(await bundled()).toContain('"second"');
});

it("a source that is gone is missed, whatever was kept", async () => {
	await bundled();
	rmSync(source("part.ts"));
	vi.spyOn(console, "error").mockImplementation(() => {});
	await expect(bundled()).rejects.toThrow(/part\.ts/);
});

it("other options make another bundle", async () => {
	await bundled("node24");
	vi.mocked(buildSync).mockClear();
	await bundled("node18");
	expect(buildSync).toHaveBeenCalledOnce();
});

it("of a library, npm's note of the packages tells whether it is the same, and not each of its modules", async () => {
	writeFileSync(source("main.ts"), `export { stringify } from "${fileURLToPath(import.meta.resolve("yaml"))}";\n`);
	await bundled();
	const made = vi.mocked(buildSync).mock.results[0]?.value as { metafile: { inputs: object } };
	expect(Object.keys(made.metafile.inputs).filter((path) => path.includes("node_modules/")).length).toBeGreaterThan(10);
	expect([...inputs()].filter((path) => path.includes("node_modules/"))).toEqual(["node_modules/.package-lock.json"]);
});

it("a module that is loaded from its bundle is what it exports, with what Node.js has for it, and runs once", async () => {
	writeFileSync(
		source("main.ts"),
		'import { basename } from "node:path";\nexport const name = (path: string) => basename(path);\n',
	);
	const { loadBundle } = await import("../../components/bundle.ts");
	const load = () => loadBundle<{ name: (path: string) => string }>(pathToFileURL(source("main.ts")));
	expect(load().name("/a/b")).toBe("b");
	expect(load().name).toBe(load().name);
});
