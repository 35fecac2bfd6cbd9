/** What is read of processes from outside, beside what they say of themselves. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { processor, resident } from "../../bench/processes.ts";

/** Three work and say what it took them: a child that has ended, one that goes on, and the process itself. */
const WORK = `
work() { i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; times; }
(work)
(work; sleep 60) &
work
wait`;

test("the processor time is that of the process, of its children, and of those that have ended", async () => {
	const child = spawn("dash", ["-c", WORK], { stdio: ["ignore", "pipe", "inherit"], detached: true });
	const pid = child.pid as number;
	onTestFinished(() => void process.kill(-pid));
	child.stdout.setEncoding("utf8");
	let said = "";
	// A line for each itself, and one for its children, which is another's own.
	while (said.split("\n").length < 7) said += (await once(child.stdout, "data"))[0];
	const own = said.split("\n").filter((_, line) => line % 2 === 0);
	const seconds = [...own.join(" ").matchAll(/(\d+)m([\d.]+)s/g)].map(([, m, s]) => Number(m) * 60 + Number(s));
	expect(seconds).toHaveLength(6);
	const all = seconds.reduce((sum, one) => sum + one, 0);
	expect(all).toBeGreaterThan(0.1);
	// The kernel counts in hundredths, twice for each.
	expect(Math.abs(processor(pid) - all)).toBeLessThan(0.08);
});

test("a process that has ended took nothing that could be read", () => {
	expect(processor(2 ** 22 + 1)).toBe(0);
	expect(resident(2 ** 22 + 1)).toBe(0);
});
