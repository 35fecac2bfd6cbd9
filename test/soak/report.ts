/** What was done, how long it took, and what should not have happened. */
export class Report {
	readonly #durations = new Map<string, number[]>();
	readonly #retries = new Map<string, number>();
	readonly problems: string[] = [];

	/** Runs it and counts it; what it throws is a problem, and ends nothing. */
	async counted<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
		const start = performance.now();
		try {
			return await work();
		} catch (error) {
			this.problem(`${name}: ${(error as Error).message}`);
			return undefined;
		} finally {
			const all = this.#durations.get(name) ?? [];
			this.#durations.set(name, [...all, (performance.now() - start) / 1000]);
		}
	}

	/** Counts a try that failed and is tried again. */
	retried(name: string): void {
		this.#retries.set(name, (this.#retries.get(name) ?? 0) + 1);
	}

	problem(text: string): void {
		this.problems.push(text);
		console.error(`PROBLEM ${text}`);
	}

	/** A line for each kind of work. */
	toString(): string {
		const lines = [...this.#durations].sort().map(([name, all]) => {
			const retries = this.#retries.get(name);
			const longest = Math.max(...all).toFixed(1);
			return `${name}: ${all.length}, the longest took ${longest} s${retries ? `, tried again ${retries} times` : ""}`;
		});
		return lines.join("\n");
	}
}
