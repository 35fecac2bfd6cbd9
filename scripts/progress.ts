/** What a command shows of itself while a person waits for it. */

/** A terminal is told every so often, in one line that is written over; in milliseconds. */
const ON_TERMINAL = 1000;
/** Where there is no terminal, each time is a line of its own. */
const IN_LOG = 15_000;

/**
 * Resolves or rejects as `work` does. After its first second, standard error says how far it is, in the few words that
 * `describe` returns then. Standard output is left to the result.
 */
export async function withProgress<Result>(work: Promise<Result>, describe: () => string): Promise<Result> {
	const { stderr } = process;
	const start = Date.now();
	const show = () => {
		const line = `${describe()}, ${Math.round((Date.now() - start) / 1000)} s`;
		stderr.write(stderr.isTTY ? `\r\u001b[2K${line}` : `${line}\n`);
	};
	const timer = setInterval(show, stderr.isTTY ? ON_TERMINAL : IN_LOG);
	try {
		return await work;
	} finally {
		clearInterval(timer);
		if (stderr.isTTY) stderr.write("\r\u001b[2K");
	}
}

/** How far a look at a registry is. */
export function read({ requests, bytes }: { requests: number; bytes: number }): string {
	return `${requests} requests, ${(bytes / 1e6).toFixed(1)} MB read`;
}
