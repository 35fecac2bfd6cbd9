/**
 * The published Pulumi plugins the program uses. Where Pulumi has one, or can get it, that one is used;
 * else the lab's stand-in. LAB_PLUGINS=<folder> decides it: the executables in that folder, and no others.
 */
import { access, constants, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { checkout, paths } from "./paths.ts";
import { type Step, StepError } from "./run.ts";

/** The plugins by the npm package that pins their version. */
const published = { command: "@pulumi/command", kubernetes: "@pulumi/kubernetes", vault: "@pulumi/vault" };

export interface Plugin {
	name: string;
	version: string;
	source: "LAB_PLUGINS" | "installed" | "stand-in";
}

/** Puts every plugin into the lab's Pulumi home. */
export async function installPlugins(step: Step): Promise<Plugin[]> {
	return Promise.all(
		Object.entries(published).map(async ([name, pkg]) => {
			const manifest = JSON.parse(await readFile(join(checkout, "node_modules", pkg, "package.json"), "utf8"));
			const { version } = manifest.pulumi as { version: string };
			const { source, executable } = await choose(step, name, version);
			const folder = join(paths.pulumiHome, "plugins", `resource-${name}-v${version}`);
			await rm(folder, { recursive: true, force: true });
			await mkdir(folder, { recursive: true });
			await symlink(executable, join(folder, `pulumi-resource-${name}`));
			return { name, version, source };
		}),
	);
}

async function choose(
	step: Step,
	name: string,
	version: string,
): Promise<{ source: Plugin["source"]; executable: string }> {
	const binary = `pulumi-resource-${name}`;
	const folder = process.env["LAB_PLUGINS"];
	if (folder) {
		const executable = join(folder, binary);
		const there = await access(executable, constants.X_OK).then(
			() => true,
			() => false,
		);
		if (!there) {
			const found = await readdir(folder).catch(() => []);
			throw new StepError(
				`LAB_PLUGINS=${folder} has no executable ${binary} (it has: ${found.join(", ") || "nothing"})`,
			);
		}
		return { source: "LAB_PLUGINS", executable };
	}
	const home =
		process.env["PULUMI_HOME"] && process.env["PULUMI_HOME"] !== paths.pulumiHome
			? process.env["PULUMI_HOME"]
			: join(homedir(), ".pulumi");
	const downloads = join(paths.tools, "plugins");
	for (const candidate of [home, downloads]) {
		const executable = join(candidate, "plugins", `resource-${name}-v${version}`, binary);
		if (
			await access(executable, constants.X_OK).then(
				() => true,
				() => false,
			)
		)
			return { source: "installed", executable };
	}
	if (await download(step, name, version, downloads)) {
		return { source: "installed", executable: join(downloads, "plugins", `resource-${name}-v${version}`, binary) };
	}
	return { source: "stand-in", executable: join(checkout, "lab", "plugins", name, binary) };
}

/** Asks Pulumi for it, at most once a day where that fails. */
async function download(step: Step, name: string, version: string, home: string): Promise<boolean> {
	const refused = join(home, `no-${name}-${version}`);
	const age = await stat(refused).then(
		({ mtimeMs }) => Date.now() - mtimeMs,
		() => Number.POSITIVE_INFINITY,
	);
	if (age < 24 * 3600 * 1000) return false;
	await mkdir(home, { recursive: true });
	const env = { PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" };
	const answer = await step.ask("pulumi", ["plugin", "install", "resource", name, version], { env, timeout: 60_000 });
	if (answer === undefined) await writeFile(refused, "");
	return answer !== undefined;
}
