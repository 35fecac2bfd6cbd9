import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { giveSigns, Watch } from "../../scripts/signsOfLife.ts";
import type { LockOwner } from "../../scripts/stackLock.ts";

const SILENCE = 60_000;
const { PATH } = process.env;
let folder: string;
let gone: number;
/** In milliseconds. */
let now = 0;

beforeEach(async () => {
	vi.spyOn(performance, "now").mockImplementation(() => now);
	folder = await mkdtemp(join(tmpdir(), "signs-test-"));
	// Keeps the tag in a file, as Pulumi does in its state.
	await writeFile(join(folder, "pulumi"), '#!/bin/sh\n[ "$3" = get ] && cat tag || echo "$5" >tag\n');
	await chmod(join(folder, "pulumi"), 0o755);
	process.env["PATH"] = `${folder}:${PATH}`;
	const child = spawn("true");
	gone = child.pid as number;
	await once(child, "exit");
});
afterEach(async () => {
	vi.restoreAllMocks();
	process.env["PATH"] = PATH;
	await rm(folder, { recursive: true });
});

const place = () => ({ stack: "any", folder, silence: SILENCE });
const owner = (other: Partial<LockOwner>): LockOwner => {
	const since = new Date(Date.now() - 60_000);
	return { host: hostname(), pid: process.pid, since, said: `somebody (pid ${other.pid})`, ...other };
};
/** The sign that a deploy of this machine gives, as another one would have written it. */
async function sign(change: (sign: string) => string): Promise<void> {
	await giveSigns(place())[Symbol.asyncDispose]();
	await writeFile(join(folder, "tag"), change(await readFile(join(folder, "tag"), "utf8")));
}
const elsewhere = (sign: string) => sign.replace(/pid:\[\d+\]/, "pid:[1]");

describe("a run that gives signs", () => {
	it("is dead where its process is gone", async () => {
		await sign((own) => own);
		expect(await new Watch(place()).isDead(owner({ pid: gone }))).toBe(true);
	});

	it("is alive where its process is, however long it gives no sign", async () => {
		await sign((own) => own);
		const watch = new Watch(place());
		expect(await watch.isDead(owner({}))).toBe(false);
		now += SILENCE;
		expect(await watch.isDead(owner({}))).toBe(false);
	});

	it("is alive in a container of this machine's name, where nobody here has its process's number", async () => {
		await sign(elsewhere);
		const watch = new Watch(place());
		expect(await watch.isDead(owner({ pid: gone }))).toBe(false);
		await sign(elsewhere);
		now += SILENCE;
		expect(await watch.isDead(owner({ pid: gone }))).toBe(false);
	});

	it("is dead in such a container after the whole silence, whoever has its number here", async () => {
		await sign(elsewhere);
		const watch = new Watch(place());
		expect(await watch.isDead(owner({}))).toBe(false);
		now += SILENCE;
		expect(await watch.isDead(owner({}))).toBe(true);
	});
});

describe("a run that gives no signs", () => {
	const none = async () => sign(() => "");

	it("is dead where two looks in a row find no process of its number: its first sign may be on its way", async () => {
		await none();
		const watch = new Watch(place());
		expect(await watch.isDead(owner({ pid: gone }))).toBe(false);
		expect(await watch.isDead(owner({ pid: gone, said: "another one" }))).toBe(false);
		expect(await watch.isDead(owner({ pid: gone, said: "another one" }))).toBe(true);
	});

	it("is never dead on a machine of another name, nor by the signs of a run before it", async () => {
		await sign((own) => own.replace(hostname(), "elsewhere"));
		const watch = new Watch(place());
		const later = new Date(Date.now() + 60_000);
		for (let look = 0; look < 3; look++) {
			expect(await watch.isDead(owner({ host: "elsewhere", pid: gone, since: later }))).toBe(false);
			now += SILENCE;
		}
	});
});
