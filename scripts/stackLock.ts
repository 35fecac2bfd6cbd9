/** Who holds a stack, as Pulumi says it of a state that it keeps itself: in a folder, a bucket or a database. */

export interface LockOwner {
	/** The machine it runs on, by its name. */
	host: string;
	/** Of pulumi, on that machine. */
	pid: number;
	/** The words it was said with, for people. */
	said: string;
}

/** The owner that pulumi's error names; undefined where it names none. */
export function lockOwner(message: string): LockOwner | undefined {
	const [said, host, pid] = /\S+@(\S+) \(pid (\d+)\)[^\n]*/.exec(message) ?? [];
	return said === undefined ? undefined : { host: host as string, pid: Number(pid), said };
}
