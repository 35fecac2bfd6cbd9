/**
 * Everything: the tests that need no lab, then those of both estates side by side, with those that change neither beside
 * them, then those that stop the lab itself.
 * Ends with the slowest files and one line in the form `N passed, N failed`; exit status 0 where none failed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Step } from "../lab/run.ts";
import type { Results } from "./closingLine.ts";
import { userland } from "./host/sshd/userland.ts";

/** Other releases than this machine's, on which FileSet has to work (vitest.config.ts). */
const userlands = ["trixie", "noble", "jammy"] as const;
const folder = await mkdtemp(join(tmpdir(), "test-results-"));
const all: Results = { passed: 0, failed: 0, skipped: 0, files: {}, failures: [] };

const [second] = await Promise.all([startSecondEstate(), vitest("unit"), onBareMachines()]);
await Promise.all([vitest("lab").then(() => vitest("found")), second && vitest("second"), vitest("apart")]);
await vitest("alone");

const slowest = Object.entries(all.files).sort(([, a], [, b]) => b - a);
console.log(`\nThe slowest files, in seconds:`);
for (const [file, seconds] of slowest.slice(0, 10)) console.log(`${seconds.toFixed(0).padStart(6)}  ${file}`);
if (all.failures.length > 0) console.log(`\nWhat failed:\n${all.failures.map((failure) => `  ${failure}`).join("\n")}`);
console.log(`\n${all.passed} passed, ${all.failed} failed${all.skipped > 0 ? `, ${all.skipped} skipped` : ""}`);
await rm(folder, { recursive: true });
if (all.failed > 0) process.exitCode = 1;

/** Their tests wait more than they compute, so all releases have theirs at once. */
async function onBareMachines(): Promise<void> {
	// One after the other, because apt takes nobody in besides. What fails here fails again in the tests, which say so.
	for (const name of userlands)
		await userland(new Step(`sshd-${name}`), name).catch((error: Error) => console.error(error.message));
	await Promise.all(["host", ...userlands.map((name) => `host-${name}`)].map((project) => vitest(project)));
}

/** Resolves with whether it is there; what its start printed is shown where it is not. */
async function startSecondEstate(): Promise<boolean> {
	const env = { ...process.env, LAB_ESTATE: "second" };
	const child = spawn(process.execPath, ["lab/main.ts", "up"], { env, stdio: ["ignore", "pipe", "pipe"] });
	const [code, stdout, stderr] = await Promise.all([
		once(child, "close").then(([code]) => code as number),
		text(child.stdout),
		text(child.stderr),
	]);
	if (code === 0) return true;
	failed(`the lab's second estate did not start, so none of its tests was run:\n${stdout}${stderr}`);
	return false;
}

/** Runs a project, whose lines begin with its name, and adds up what it found. */
async function vitest(project: string): Promise<void> {
	const results = join(folder, project, "results.json");
	await mkdir(join(folder, project));
	const args = ["node_modules/vitest/vitest.mjs", "run", "--project", project];
	const child = spawn(process.execPath, args, {
		env: { ...process.env, TEST_RESULTS: results },
		stdio: ["ignore", "pipe", "pipe"],
	});
	const show = (stream: NodeJS.ReadableStream, to: NodeJS.WritableStream) => {
		let rest = "";
		stream.setEncoding("utf8").on("data", (chunk: string) => {
			const lines = (rest + chunk).split("\n");
			rest = lines.pop() as string;
			for (const line of lines) if (line.trim() !== "") to.write(`[${project}] ${line}\n`);
		});
	};
	show(child.stdout, process.stdout);
	show(child.stderr, process.stderr);
	const [code] = await once(child, "close");
	const found = await readFile(results, "utf8").then(
		(json) => JSON.parse(json) as Results,
		() => undefined,
	);
	if (found === undefined) {
		return failed(`the tests of ${project} ended with ${code} before they told what they found`);
	}
	for (const key of ["passed", "failed", "skipped"] as const) all[key] += found[key];
	all.failures.push(...found.failures);
	Object.assign(all.files, found.files);
	if (code !== 0 && found.failed === 0) failed(`the tests of ${project} ended with ${code}, though none failed`);
}

/** Counts what is no test. */
function failed(what: string): void {
	console.error(what);
	all.failures.push(what);
	all.failed++;
}
