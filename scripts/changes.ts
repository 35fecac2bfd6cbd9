/**
 * npm run changes -- STACK COMMIT: what the checkout would change that the commit would not, in Markdown, and who is
 * restarted for it. Both are rendered, so that no secret is needed and nothing is reached. Exit status 1 where the
 * checkout can't be rendered: what is printed then says why.
 */
import { mkdtemp, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Command } from "commander";
import { structuredPatch } from "diff";
import { execa } from "execa";
import { fenced } from "../components/driftDetection/words.ts";
import { SILENCE } from "../components/registryVm/bounce.ts";
import { ConfigError } from "../config.ts";
import { laidOut, rendered } from "./rendering.ts";

const folder = join(import.meta.dirname, "..");

/** In characters: what a comment may have on any forge. */
const LIMIT = 60_000;
/** In lines of one file's difference. */
const LINES = 200;

await new Command()
	.name("npm run changes --")
	.description(
		"What the checkout would change that another commit would not, in Markdown. Needs no secret, reaches nothing.",
	)
	.argument("<stack>", "the stack, for example prod")
	.argument("<commit>", "what to compare with, for example origin/master")
	.action(async (stack: string, commit: string) => {
		console.log(await changes(stack, commit));
	})
	.parseAsync()
	.catch((error: unknown) => {
		if (!(error instanceof ConfigError)) throw error;
		console.log(`### This change can't be deployed\n\n\`\`\`\n${error.message}\n\`\`\``);
		process.exitCode = 1;
	});

async function changes(stack: string, commit: string): Promise<string> {
	const after = laidOut(await rendered(stack));
	const before = await renderedAt(stack, commit);
	const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
	const effects = new Map<string, string[]>();
	const sections = paths.flatMap((path) => {
		const [was, is] = [before[path], after[path]];
		if (was?.content === is?.content && was?.mode === is?.mode) return [];
		const [host = ""] = path.split("/");
		const effect = is?.effect ?? (is === undefined ? "it is removed" : "the object is updated");
		effects.set(`${host}: ${effect}`, [...(effects.get(`${host}: ${effect}`) ?? []), path.slice(host.length)]);
		const { hunks } = structuredPatch("", "", was?.content ?? "", is?.content ?? "", undefined, undefined, {
			context: 2,
		});
		const lines = hunks.flatMap(({ lines }) => ["@@", ...lines]).filter((line) => !line.startsWith("\\"));
		const mode = was && is && was.mode !== is.mode ? [`mode ${was.mode} becomes ${is.mode}`] : [];
		const left = lines.length - LINES;
		const shown = [...mode, ...lines.slice(0, LINES), ...(left > 0 ? [`… and ${left} lines more`] : [])].join("\n");
		const kind = was === undefined ? " (new)" : is === undefined ? " (removed)" : "";
		return [`<details><summary><code>${path}</code>${kind}</summary>\n\n${fenced(shown)}\n</details>`];
	});
	if (sections.length === 0) return `### Nothing on a host or in the cluster of ${stack} would change`;
	const summary = [...effects].map(
		([effect, files]) => `- **${effect}**: ${files.map((file) => `\`${file}\``).join(", ")}`,
	);
	const text = [
		`### What this would change in ${stack}`,
		summary.join("\n"),
		`A port is silent for up to ${SILENCE.nginx} s while nginx is restarted, and up to ${SILENCE.registry} s where its registry is recreated; where all are, all are silent for up to ${SILENCE.all} s. This is from rendering both commits: no host was looked at, so drift is not in it, and no secret.`,
		...sections,
	].join("\n\n");
	return text.length <= LIMIT
		? text
		: `${text.slice(0, text.lastIndexOf("\n\n<details>", LIMIT))}\n\n… and more: npm run changes -- ${stack} ${commit}`;
}

/** What the commit's own code renders. */
async function renderedAt(stack: string, commit: string): Promise<Record<string, { content: string; mode: string }>> {
	const base = await mkdtemp(join(tmpdir(), "changes-"));
	const [tree, out] = [join(base, "tree"), join(base, "out")];
	try {
		const made = await execa("git", ["worktree", "add", "--detach", tree, commit], { cwd: folder, reject: false });
		if (made.failed) throw new ConfigError(`${commit} can't be checked out: ${made.stderr}`);
		await symlink(join(folder, "node_modules"), join(tree, "node_modules"));
		const { failed, stderr } = await execa(process.execPath, ["scripts/render.ts", stack, out], {
			cwd: tree,
			reject: false,
		});
		if (failed) throw new ConfigError(`${commit}, which this is compared with, can't be rendered: ${stderr}`);
		const found: Record<string, { content: string; mode: string }> = {};
		for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
			if (!entry.isFile()) continue;
			const path = join(entry.parentPath, entry.name);
			const mode = `0${((await stat(path)).mode & 0o777).toString(8)}`;
			found[relative(out, path)] = { content: await readFile(path, "utf8"), mode };
		}
		return found;
	} finally {
		await execa("git", ["worktree", "remove", "--force", tree], { cwd: folder, reject: false });
		await rm(base, { recursive: true, force: true });
	}
}
