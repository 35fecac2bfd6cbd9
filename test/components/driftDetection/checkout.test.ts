/** Whether a checkout is what the remote branch has, asked of a real git. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { outdated } from "../../../components/driftDetection/checkout.ts";

let folder: string;
let origin: string;
let clone: string;
const git = (cwd: string, ...args: string[]) =>
	execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.test", ...args], { cwd, stdio: "pipe" });
const commit = (text: string) => {
	writeFileSync(join(origin, "file"), text);
	git(origin, "add", "file");
	git(origin, "commit", "--quiet", "--message", text);
};

beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "checkout-test-"));
	[origin, clone] = [join(folder, "origin"), join(folder, "clone")];
	git(folder, "init", "--quiet", "--initial-branch", "master", "origin");
	commit("first");
	git(folder, "clone", "--quiet", "--depth", "1", `file://${origin}`, "clone");
});
afterAll(() => rmSync(folder, { recursive: true }));

it("a shallow clone of the newest commit will do, with files of its own beside it", async () => {
	writeFileSync(join(clone, "out"), "made by a test");
	expect(await outdated(clone, "master")).toBeUndefined();
});

it("a change that is not committed is named", async () => {
	writeFileSync(join(clone, "file"), "changed");
	expect(await outdated(clone, "master")).toMatch(/has changes that master has not: file\. Commit/);
	writeFileSync(join(clone, "file"), "first");
});

it("an old checkout is refused, with both commits", async () => {
	commit("second");
	expect(await outdated(clone, "master")).toMatch(
		/^the checkout is at [0-9a-f]{8}, and master of origin at [0-9a-f]{8}/,
	);
});

it("a checkout that is somebody else's is named as that, in git's words", async () => {
	// Git's own switch for its tests. As in the container of a CI server, which runs as root.
	vi.stubEnv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
	expect(await outdated(clone, "master")).toMatch(/^could not tell which commit is checked out: .*dubious ownership/);
	vi.unstubAllEnvs();
});

it("a branch or a remote that is not there can't be compared with", async () => {
	expect(await outdated(clone, "gone")).toMatch(/^could not tell .* there is no branch gone$/);
	rmSync(origin, { recursive: true });
	expect(await outdated(clone, "master")).toMatch(
		/^could not tell whether the checkout is that of master: git ls-remote/,
	);
});
