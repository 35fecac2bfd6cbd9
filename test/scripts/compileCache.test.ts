import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";

const checkout = join(import.meta.dirname, "../..");
const { runtime } = parse(readFileSync(join(checkout, "Pulumi.yaml"), "utf8"));

/** Where a program that is started as Pulumi starts this one keeps what Node.js has compiled of it. */
async function keptIn(env: Record<string, string> = {}): Promise<string> {
	const { NODE_COMPILE_CACHE: _, ...own } = process.env;
	const args = [...runtime.options.nodeargs.split(" "), "--print", "require('node:module').getCompileCacheDir()"];
	const { stdout } = await execa("node", args, { cwd: checkout, env: { ...own, ...env }, extendEnv: false });
	return stdout;
}

describe("what Node.js has compiled of the program", () => {
	it("is kept in the checkout", async () => {
		expect(await keptIn()).toContain(join(checkout, "node_modules/.cache/node"));
	});

	it("is kept elsewhere where the environment says so", async () => {
		const elsewhere = mkdtempSync(join(tmpdir(), "compiled-"));
		onTestFinished(() => rmSync(elsewhere, { recursive: true }));
		expect(await keptIn({ NODE_COMPILE_CACHE: elsewhere })).toContain(elsewhere);
	});
});
