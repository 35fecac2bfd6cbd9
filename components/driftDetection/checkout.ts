/** Whether a checkout is what the remote branch has: an old one would report its own age as drift, or deploy it. */
import { execa } from "execa";

export type Checkout =
	| { state: "current"; head: string }
	/** Another commit is the newest, and the checkout's is none that comes after it. */
	| { state: "behind"; head: string; newest: string }
	/** The checkout has something that the branch has not, or can't be compared: a sentence. */
	| { state: "other"; reason: string };

/** Compares the checkout in that folder with the branch of the remote `origin`. Never throws. */
export async function compareCheckout(folder: string, branch: string): Promise<Checkout> {
	const git = (...args: string[]) =>
		execa("git", args, { cwd: folder, reject: false, timeout: 60_000, env: { GIT_TERMINAL_PROMPT: "0" } });
	const other = (reason: string): Checkout => ({ state: "other", reason });
	// First: where git does not read a repository because it is somebody else's, ls-remote only says that there is no origin.
	const found = await git("rev-parse", "HEAD");
	if (found.failed) return other(`could not tell which commit is checked out: ${found.stderr.trim()}`);
	const head = found.stdout;
	const remote = await git("ls-remote", "--exit-code", "origin", `refs/heads/${branch}`);
	if (remote.failed)
		return other(
			`could not tell whether the checkout is that of ${branch}: git ls-remote origin: ${remote.stderr.trim() || `there is no branch ${branch}`}`,
		);
	const newest = remote.stdout.split(/\s/)[0] as string;
	if (head !== newest) {
		const isAhead = !(await git("merge-base", "--is-ancestor", newest, "HEAD")).failed;
		if (!isAhead) return { state: "behind", head, newest };
		return other(`the checkout has commits that ${branch} of origin has not. Push them, then run it again`);
	}
	const changed = await git("status", "--porcelain", "--untracked-files=no");
	if (changed.failed) return other(`could not tell whether the checkout was changed: ${changed.stderr.trim()}`);
	const files = changed.stdout.split("\n").filter(Boolean);
	if (files.length === 0) return { state: "current", head };
	const names = files.map((line) => line.slice(3)).join(", ");
	return other(`the checkout has changes that ${branch} has not: ${names}. Commit or stash them, then run it again`);
}

/** Why what differs from that checkout would not be the estate's drift, a sentence; undefined where it would. */
export async function outdated(folder: string, branch: string): Promise<string | undefined> {
	const checkout = await compareCheckout(folder, branch);
	if (checkout.state === "current") return undefined;
	if (checkout.state === "other") return checkout.reason;
	const { head, newest } = checkout;
	return `the checkout is at ${head.slice(0, 8)}, and ${branch} of origin at ${newest.slice(0, 8)}: what differs would be the checkout, not the estate. Pull, then run it again`;
}
