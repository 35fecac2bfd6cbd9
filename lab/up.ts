/** `make lab`: builds what is missing, starts it, and runs pulumi up against it. `make lab-found`: the same, as it was found. */
import { mkdir } from "node:fs/promises";
import { Listr, type ListrTask, PRESET_TIMER } from "listr2";
import { startKubernetes } from "./cluster.ts";
import { startVault, startWoodpecker } from "./credentials.ts";
import { type Engine, startEngine } from "./engine.ts";
import { caches, isFirst, published, STACK } from "./estate.ts";
import { forgetProgram, hint, layOutMonitoring, layOutPipelines, layOutRegistryVm } from "./found.ts";
import { buildImages, forgetOldImages, type Images } from "./images.ts";
import { type Keys, makeKeys } from "./keys.ts";
import { lock } from "./lock.ts";
import {
	loadVmImages,
	startDns,
	startNetwork,
	startProxmox,
	startPublicDns,
	startRegistryVm,
	startUpstreams,
} from "./machines.ts";
import { loadRules, startMonitoring } from "./monitoring.ts";
import { installPackages } from "./packages.ts";
import { cache, checkout, paths } from "./paths.ts";
import { installPlugins } from "./plugins.ts";
import { Step } from "./run.ts";
import { configureStack, environment, pulumiEnvironment, releaseStack } from "./stack.ts";
import { forgetBuildCaches, provide, tools } from "./tools.ts";
import { fillUpstreams } from "./upstreams.ts";

interface Context {
	engine: Engine;
	images: Images;
	keys: Keys;
	/** Of Pulumi. */
	env: Record<string, string>;
}

/** Builds what is missing, starts it, and runs pulumi up against it. */
export async function up(): Promise<void> {
	const { engine, keys } = await run([...parts(false), ...update()]);
	const { LAB_REGISTRY } = environment(engine, keys);
	console.log(`
The lab is up. The registry VM's private registry is https://${LAB_REGISTRY}, its caches are on ports
${caches.map(({ name, port }) => `${published(port)} (${name})`).join(", ")}.

  make lab-status                 what runs, and where
  eval "$(make -s lab-env)"       then: pulumi preview, ssh -F $LAB_SSH_CONFIG registry, crane catalog $LAB_REGISTRY
`);
}

/** Builds what is missing, and makes the estate as it was before this program. */
export async function found(): Promise<void> {
	await run([
		...parts(true),
		{
			title: "The registry VM as it was found",
			task: ({ engine, images, keys }) => layOutRegistryVm(engine, new Step("found"), images, keys),
		},
		{
			title: "The cluster, its monitoring and the pipelines as they were found",
			task: async ({ engine, keys }) => {
				await layOutMonitoring(engine, new Step("found"));
				await layOutPipelines(keys);
			},
		},
	]);
	console.log(hint);
}

async function run(tasks: ListrTask<Context>[]): Promise<Context> {
	await mkdir(cache, { recursive: true });
	await using _lock = await lock();
	process.env["PATH"] = `${paths.bin}:${process.env["PATH"]}`;
	// Awaited here, or the lock would be given back before anything is done.
	return await new Listr<Context>(tasks, {
		rendererOptions: { timer: PRESET_TIMER, collapseSubtasks: false },
		fallbackRenderer: "simple",
		fallbackRendererOptions: { timer: PRESET_TIMER },
	}).run();
}

/** Everything but the program's own work; `anew` forgets what it has done before. */
function parts(anew: boolean): ListrTask<Context>[] {
	return [
		{
			title: "Packages of this machine",
			task: async (_, task) => {
				task.title += `: ${await installPackages(new Step("packages"))}`;
			},
		},
		{
			title: "Tools",
			task: (_, task) =>
				task.newListr(
					[
						...tools.map((tool) => ({
							title: tool.name,
							task: async (_: Context, task: { title: string; output: string }) => {
								const how = await provide(tool, passing(task));
								task.title = `${tool.name}: ${how}`;
							},
						})),
					],
					// Two at a time is what two cores can do.
					{ concurrent: 2 },
				),
		},
		{ title: "Build caches", task: () => forgetBuildCaches() },
		{
			title: "Docker engine",
			task: async (context, task) => {
				context.engine = await startEngine(new Step("engine"));
				task.title += context.engine.ours ? ": the lab's own" : `: the one at ${context.engine.host}`;
			},
		},
		{
			title: "Images",
			task: async (context, task) => {
				const built: string[] = [];
				context.images = await buildImages(context.engine, new Step("images"), (what) => {
					built.push(what);
					task.output = `building ${what}`;
				});
				task.title += built.length > 0 ? `: built ${built.join(", ")}` : ": cached";
			},
		},
		{
			title: "Keys and certificates",
			task: async (context) => {
				context.keys = await makeKeys(new Step("keys"));
				context.env = pulumiEnvironment(context.keys);
			},
		},
		{
			title: "What the program has made",
			enabled: anew,
			task: async ({ engine, env }, task) => {
				await releaseStack(new Step("stack"), env);
				await forgetProgram(engine, new Step("found"), env);
				task.title += ": forgotten";
			},
		},
		{
			title: "Network, DNS and upstream registries",
			task: async (context, task) => {
				const step = new Step("upstreams");
				await startNetwork(context.engine, step);
				await startDns(context.engine, step, context.images);
				const addresses = await startUpstreams(context.engine, step, context.images);
				const filled = await fillUpstreams(step, addresses, context.env);
				if (filled.length > 0) task.title += `: filled ${filled.join(", ")}`;
			},
		},
		{
			title: "Registry VM",
			task: async (context, task) => {
				const step = new Step("registry-vm");
				await startRegistryVm(context.engine, step, context.images, context.keys);
				const loaded = await loadVmImages(context.engine, step, context.images);
				if (loaded.length > 0) task.title += `: loaded ${loaded.join(", ")}`;
			},
		},
		{
			title: "Proxmox host and public DNS",
			task: async (context) => {
				const step = new Step("proxmox");
				await startPublicDns(context.engine, step, context.images);
				await startProxmox(context.engine, step, context.images, context.keys);
			},
		},
		{
			title: "Kubernetes",
			enabled: isFirst,
			task: (context) => startKubernetes(context.engine, new Step("kubernetes"), context.images, context.keys),
		},
		{
			title: "Prometheus, Alertmanager and Pushgateway",
			enabled: isFirst,
			task: (context) => startMonitoring(context.engine, new Step("monitoring"), context.images),
		},
		{
			title: "Vault and Woodpecker",
			enabled: isFirst,
			task: async ({ engine, images, keys }) => {
				const step = new Step("credentials");
				await Promise.all([startVault(engine, step, images, keys), startWoodpecker(engine, step, images, keys)]);
			},
		},
		{
			title: "Pulumi plugins",
			task: async (_, task) => {
				const plugins = await installPlugins(new Step("plugins"));
				task.title += `: ${plugins.map(({ name, version, source }) => `${name} ${version} (${source})`).join(", ")}`;
			},
		},
		{
			title: `Stack ${STACK}`,
			task: async (context, task) => {
				const step = new Step("stack");
				task.title += `: Pulumi.${STACK}.yaml ${await configureStack(step, context.keys, context.env)}`;
				if (await releaseStack(step, context.env)) task.title += ", unlocked after a run that was killed";
			},
		},
	];
}

/** The program's own work. */
function update(): ListrTask<Context>[] {
	return [
		{
			title: "pulumi up",
			task: async ({ env }, task) => {
				const step = new Step("pulumi-up");
				const output = await step.run(
					"pulumi",
					["up", "--yes", "--skip-preview", "--non-interactive", "--stack", STACK, "--suppress-progress"],
					{ cwd: checkout, env, onLine: passing(task) },
				);
				const resources = [...output.matchAll(/Resources:\n((?: +.*\n?)+)/g)]
					.at(-1)?.[1]
					?.trim()
					.split(/\s*\n\s*/)
					.join(", ");
				task.title += `: ${resources ?? "done"}`;
			},
		},
		{
			title: "Old images",
			task: (context) => forgetOldImages(context.engine, new Step("old-images"), context.images),
		},
		{
			title: "Prometheus takes the alerts",
			enabled: isFirst,
			task: (context) => loadRules(context.engine, new Step("rules")),
		},
	];
}

/** Shows each line in the place of the one before; where there is no terminal, they would be thousands, and stay in the log. */
function passing(task: { output: string }): (line: string) => void {
	return (line) => {
		if (process.stdout.isTTY && line.trim()) task.output = line;
	};
}
