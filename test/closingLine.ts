import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";

export interface Results {
	passed: number;
	failed: number;
	skipped: number;
	/** How long each file took, in seconds. */
	files: Record<string, number>;
	/** What failed: the file, the test's name and the beginning of its error, a text each. */
	failures: string[];
}

/** Ends the output with one line in the form `N passed, N failed`, or writes that to the file TEST_RESULTS. */
export default class ClosingLine implements Reporter {
	onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
		const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
		const files: Results["files"] = {};
		const failures = errors.map((error) => beginning(error as Error));
		for (const module of modules) {
			const tests = [...module.children.allTests()];
			const file = relative(process.cwd(), module.moduleId);
			for (const test of tests) {
				const { state, errors: [error] = [] } = test.result();
				count[state]++;
				if (state === "failed") failures.push(`${file} > ${test.fullName}: ${beginning(error)}`);
			}
			// A file that could not be loaded, or a hook that failed, whose tests are skipped.
			for (const suite of [module, ...module.children.allSuites()]) {
				for (const error of suite.errors()) {
					count.failed++;
					failures.push(`${"fullName" in suite ? `${file} > ${suite.fullName}` : file}: ${beginning(error)}`);
				}
			}
			const { duration, collectDuration } = module.diagnostic();
			files[file] = (duration + collectDuration) / 1000;
		}
		const { passed, failed, pending } = count;
		const results: Results = { passed, failed, skipped: count.skipped + pending, files, failures };
		const file = process.env["TEST_RESULTS"];
		if (file) writeFileSync(file, JSON.stringify(results));
		else
			process.on("exit", () => {
				console.log(`${passed} passed, ${failed} failed${results.skipped > 0 ? `, ${results.skipped} skipped` : ""}`);
			});
	}
}

/** An error's first lines, where somebody looks who sees no more than the end of the output. */
function beginning(error: { message?: string } | undefined): string {
	return (error?.message ?? "no error was given").slice(0, 500).split("\n").slice(0, 6).join("\n    ");
}
