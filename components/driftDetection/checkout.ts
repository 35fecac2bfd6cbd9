/** Whether a checkout is what the remote branch has: an old one would report its own age as drift. */
import { execa } from "execa";

/** Why the checkout in that folder can't be compared with, a sentence; undefined where it is at the branch's commit. */
export async function outdated(folder: string, branch: string): Promise<string | undefined> {
	const git = (...args: string[]) =>
		execa("git", args, { cwd: folder, reject: false, timeout: 60_000, env: { GIT_TERMINAL_PROMPT: "0" } });
	const remote = await git("ls-remote", "--exit-code", "origin", `refs/heads/${branch}`);
	if (remote.failed)
		return `could not tell whether the checkout is that of ${branch}: git ls-remote origin: ${remote.stderr.trim() || `there is no branch ${branch}`}`;
	const wanted = remote.stdout.split(/\s/)[0] as string;
	const head = await git("rev-parse", "HEAD");
	if (head.failed) return `could not tell which commit is checked out: ${head.stderr.trim()}`;
	if (head.stdout !== wanted)
		return `the checkout is at ${head.stdout.slice(0, 8)}, and ${branch} of origin at ${wanted.slice(0, 8)}: what differs would be the checkout, not the estate. Pull, then run it again`;
	const changed = await git("status", "--porcelain", "--untracked-files=no");
	if (changed.failed) return `could not tell whether the checkout was changed: ${changed.stderr.trim()}`;
	const files = changed.stdout.split("\n").filter(Boolean);
	if (files.length === 0) return undefined;
	return `the checkout has changes that ${branch} has not: ${files.map((line) => line.slice(3)).join(", ")}. Commit or stash them, then run it again`;
}
