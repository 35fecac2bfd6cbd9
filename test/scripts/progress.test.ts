/** What a command that takes long says on standard error meanwhile. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { read, withProgress } from "../../scripts/progress.ts";

let written: string[];
const { isTTY } = process.stderr;
beforeEach(() => {
	written = [];
	vi.useFakeTimers();
	vi.spyOn(process.stderr, "write").mockImplementation((text) => {
		written.push(String(text));
		return true;
	});
});
afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
	process.stderr.isTTY = isTTY;
});

function taking(milliseconds: number): Promise<string> {
	return new Promise((resolve) => setTimeout(() => resolve("done"), milliseconds));
}

it("a terminal sees one line that is written over, and is left empty", async () => {
	process.stderr.isTTY = true;
	let requests = 0;
	const work = withProgress(taking(3500), () => read({ requests: ++requests, bytes: 2_500_000 }));
	await vi.advanceTimersByTimeAsync(3500);
	expect(await work).toBe("done");
	expect(written).toEqual([...[1, 2, 3].map((n) => `\r\u001b[2K${n} requests, 2.5 MB read, ${n} s`), "\r\u001b[2K"]);
});

it("a log gets a line every quarter of a minute, and none of what is quick", async () => {
	process.stderr.isTTY = false;
	const work = withProgress(taking(31_000), () => "reading");
	await vi.advanceTimersByTimeAsync(31_000);
	await work;
	await vi.advanceTimersByTimeAsync(60_000);
	expect(written).toEqual(["reading, 15 s\n", "reading, 30 s\n"]);
});

it("what fails still fails, and says nothing more", async () => {
	process.stderr.isTTY = false;
	await expect(withProgress(Promise.reject(new Error("no")), () => "reading")).rejects.toThrow("no");
	await vi.advanceTimersByTimeAsync(60_000);
	expect(written).toEqual([]);
});
