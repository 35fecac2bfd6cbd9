/** What processes take, by /proc. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const TICKS = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** The most memory that each of the process and all below it has had resident, added up, in MiB. */
export function resident(root: number): number {
	const own = (pid: number) => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
	return sum(root, own) / 1024;
}

/** The processor time of the process, of all below it, and of those below it that have ended, in seconds. */
export function processor(root: number): number {
	const own = (pid: number) => {
		const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
		// User and system; its own, and of its children that have ended.
		return [11, 12, 13, 14].reduce((all, field) => all + Number(fields[field]), 0);
	};
	return sum(root, own) / TICKS;
}

/** Over the process and all below it; one that has ended meanwhile counts as nothing. */
function sum(pid: number, of: (pid: number) => number): number {
	try {
		const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
			readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean),
		);
		return children.reduce((all, child) => all + sum(Number(child), of), of(pid));
	} catch {
		return 0;
	}
}
