import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";

export interface Results {
	passed: number;
	failed: number;
	skipped: number;
	/** How long each file took, in seconds. */
	files: Record<string, number>;
}

/** Ends the output with one line in the form `N passed, N failed`, or writes that to the file TEST_RESULTS. */
export default class ClosingLine implements Reporter {
	onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
		const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
		const files: Results["files"] = {};
		for (const module of modules) {
			const tests = [...module.children.allTests()];
			for (const test of tests) count[test.result().state]++;
			// A file that could not even be loaded has no tests to fail.
			if (module.state() === "failed" && !tests.some((test) => test.result().state === "failed")) count.failed++;
			const { duration, collectDuration } = module.diagnostic();
			files[relative(process.cwd(), module.moduleId)] = (duration + collectDuration) / 1000;
		}
		const { passed, failed, pending } = count;
		const results: Results = { passed, failed, skipped: count.skipped + pending, files };
		const file = process.env["TEST_RESULTS"];
		if (file) writeFileSync(file, JSON.stringify(results));
		else
			process.on("exit", () => {
				console.log(`${passed} passed, ${failed} failed${results.skipped > 0 ? `, ${results.skipped} skipped` : ""}`);
			});
	}
}
