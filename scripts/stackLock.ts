/** Who holds a stack, as Pulumi says it of a state that it keeps itself: in a folder, a bucket or a database. */

export interface LockOwner {
	/** The machine it runs on, by its name. */
	host: string;
	/** Of pulumi, on that machine. */
	pid: number;
	/** When it took the lock, by its own clock, to the second; undefined where it is not said. */
	since: Date | undefined;
	/** The words it was said with, for people. */
	said: string;
}

/** The owner that pulumi's error names; undefined where it names none. */
export function lockOwner(message: string): LockOwner | undefined {
	const [said, host, pid, since] = /\S+@(\S+) \(pid (\d+)\)(?: at (\S+))?[^\n]*/.exec(message) ?? [];
	if (said === undefined) return undefined;
	const at = new Date(since ?? Number.NaN);
	return { host: host as string, pid: Number(pid), since: Number.isNaN(at.getTime()) ? undefined : at, said };
}
