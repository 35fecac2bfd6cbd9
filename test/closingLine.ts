import type { Reporter, TestModule } from "vitest/node";

/** Ends the output with one line in the form `N passed, N failed`. */
export default class ClosingLine implements Reporter {
	onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
		const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
		for (const module of modules) {
			const tests = [...module.children.allTests()];
			for (const test of tests) count[test.result().state]++;
			// A file that could not even be loaded has no tests to fail.
			if (module.state() === "failed" && !tests.some((test) => test.result().state === "failed")) count.failed++;
		}
		const skipped = count.skipped + count.pending;
		process.on("exit", () => {
			console.log(`${count.passed} passed, ${count.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
		});
	}
}
