/** The programs the lab is made of, built from Go modules that are pinned in tools/<name>/go.sum. */
import { createHash } from "node:crypto";
import { link as hardLink, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkout, paths } from "./paths.ts";
import { Step } from "./run.ts";

export interface Tool {
	name: string;
	/** What the executable is called on PATH. */
	binary: string;
	/** Set where the machine may have a good one already: how to ask it, and the answer that will do. */
	own?: { args: string[]; accept: RegExp };
	ldflags?: string;
	tags?: string;
	/** True where the tool runs in the lab's Linux containers instead of on this machine. */
	inside?: true;
	/** What such a tool is called on PATH all the same, on a machine that can run it. */
	outside?: string;
	/** A file of this folder: the shell that starts it, as `$host`. */
	startedBy?: string;
}

export const tools: Tool[] = [
	{ name: "pulumi-language-nodejs", binary: "pulumi-language-nodejs", startedBy: "languageHost.sh" },
	{ name: "crane", binary: "crane", own: { args: ["version"], accept: /^v?0\.(2\d|[3-9]\d)/ } },
	{ name: "regctl", binary: "regctl", own: { args: ["version"], accept: /v0\.(1[1-9]|[2-9]\d)/ } },
	{
		name: "registry",
		binary: "registry",
		ldflags: "-X github.com/docker/distribution/version.Version=v2.8.3",
		inside: true,
	},
	{
		name: "compose",
		binary: "docker-compose",
		ldflags: "-X github.com/docker/compose/v2/internal.Version=v2.40.3",
		inside: true,
	},
	{
		name: "kubernetes",
		binary: "kubernetes",
		ldflags:
			"-X k8s.io/component-base/version.gitVersion=v1.33.0 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=33",
		inside: true,
		outside: "kubectl",
	},
	{ name: "vault", binary: "vault", tags: "minimal", inside: true, outside: "vault" },
	{ name: "vault-plugin-auth-kubernetes", binary: "vault-plugin-auth-kubernetes", inside: true },
	// The largest one late, so that the others don't wait for it.
	{
		name: "pulumi",
		binary: "pulumi",
		ldflags: "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.248.0",
		own: { args: ["version"], accept: /^v3\.(2[0-9]\d|[3-9]\d\d)\./ },
	},
	// Made of what pulumi is made of, and so quick once that is built.
	{ name: "gen-sdk", binary: "gen-sdk" },
];

/** Where the built tool is, whether it exists yet or not. */
export async function builtPath(tool: Tool): Promise<string> {
	const source = join(checkout, "lab", "tools", tool.name);
	const hash = createHash("sha256")
		.update(tool.ldflags ?? "")
		.update(tool.tags ?? "");
	for (const entry of (await readdir(source, { recursive: true, withFileTypes: true })).sort((a, b) =>
		a.name < b.name ? -1 : 1,
	)) {
		if (entry.isFile()) hash.update(entry.name).update(await readFile(join(entry.parentPath, entry.name)));
	}
	return join(paths.tools, `${tool.name}-${hash.digest("hex").slice(0, 16)}`, tool.binary);
}

/** Makes the tool available in `paths.bin`; resolves with how it was come by. */
export async function provide(
	tool: Tool,
	showProgress: (line: string) => void,
): Promise<"built" | "cached" | "this machine's"> {
	const step = new Step(`tool-${tool.name}`);
	await mkdir(paths.bin, { recursive: true });
	const onPath = tool.inside ? (process.platform === "linux" ? tool.outside : undefined) : tool.binary;
	const link = onPath && join(paths.bin, onPath);
	if (await usesOwn(tool, step)) {
		if (link) await rm(link, { force: true });
		return "this machine's";
	}
	const target = await builtPath(tool);
	const cached = await exists(target);
	if (!cached) await build(tool, target, step, showProgress);
	if (link) {
		// Renamed into place: whoever starts it meanwhile has one of the two.
		const half = `${link}.half-${process.pid}`;
		// Not a symlink: pulumi looks for its language host beside its own real path.
		if (tool.startedBy === undefined) await hardLink(target, half);
		else {
			const script = await readFile(join(checkout, "lab", tool.startedBy), "utf8");
			await writeFile(half, `#!/bin/sh\nhost='${target}'\n${script}`, { mode: 0o755 });
		}
		await rename(half, link);
		await rm(half, { force: true }); // Two names of one file are left as they are by a rename.
	}
	return cached ? "cached" : "built";
}

/** True where the machine's own program does, found on a PATH without ours. */
async function usesOwn(tool: Tool, step: Step): Promise<boolean> {
	// The language host belongs to a pulumi; the machine's own brings its own.
	const asked = tool.name === "pulumi-language-nodejs" ? tools.find(({ name }) => name === "pulumi") : tool;
	if (asked?.own === undefined) return false;
	const PATH = (process.env["PATH"] ?? "")
		.split(":")
		.filter((folder) => folder !== paths.bin)
		.join(":");
	const file = await step.ask("sh", ["-c", `command -v ${asked.binary}`], { env: { PATH } });
	if (!file) return false;
	const answer = await step.ask(file, asked.own.args, { env: { PATH, PULUMI_SKIP_UPDATE_CHECK: "true" } });
	return answer !== undefined && asked.own.accept.test(answer);
}

async function build(tool: Tool, target: string, step: Step, showProgress: (line: string) => void): Promise<void> {
	const source = join(checkout, "lab", "tools", tool.name);
	const manifest = await readFile(join(source, "go.mod"), "utf8");
	const pkg = /^tool (\S+)$/m.exec(manifest)?.[1] ?? ".";
	const folder = join(target, "..");
	await rm(folder, { recursive: true, force: true });
	await mkdir(folder, { recursive: true });
	const half = `${target}.half-${process.pid}`; // A compiler whose make was killed may still be writing its own.
	const ldflags = ["-s", "-w", tool.ldflags].filter(Boolean).join(" ");
	const env = {
		CGO_ENABLED: "0",
		GOFLAGS: "-mod=readonly -modcacherw -buildvcs=false",
		GOCACHE: join(paths.tools, "go-build"),
		GOMODCACHE: join(paths.tools, "go-mod"),
		...(tool.inside && { GOOS: "linux" }),
	};
	await step.run("go", ["build", "-v", "-trimpath", "-ldflags", ldflags, "-tags", tool.tags ?? "", "-o", half, pkg], {
		cwd: source,
		env,
		onLine: showProgress,
	});
	await rename(half, target); // A build that was cut off must not look like a built tool.
}

/** Gives back the disk that the builds needed; only a changed manifest would need it again. */
export async function forgetBuildCaches(): Promise<void> {
	for (const folder of ["go-build", "go-mod"]) await rm(join(paths.tools, folder), { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
	return stat(path).then(
		() => true,
		() => false,
	);
}
