/** `make lab`: builds what is missing, starts it, and runs pulumi up against it. */
import { mkdir } from "node:fs/promises";
import { Listr, PRESET_TIMER } from "listr2";
import { startKubernetes } from "./cluster.ts";
import { startVault, startWoodpecker } from "./credentials.ts";
import { type Engine, startEngine } from "./engine.ts";
import { caches, isFirst, published, STACK } from "./estate.ts";
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

export async function up(): Promise<void> {
	await mkdir(cache, { recursive: true });
	await using _lock = await lock();
	process.env["PATH"] = `${paths.bin}:${process.env["PATH"]}`;
	const tasks = new Listr<Context>(
		[
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
			{
				title: "pulumi up",
				task: async ({ env }, task) => {
					const step = new Step("pulumi-up");
					const output = await step.run(
						"pulumi",
						["up", "--yes", "--non-interactive", "--stack", STACK, "--suppress-progress"],
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
		],
		{
			rendererOptions: { timer: PRESET_TIMER, collapseSubtasks: false },
			fallbackRenderer: "simple",
			fallbackRendererOptions: { timer: PRESET_TIMER },
		},
	);
	const { engine, keys } = await tasks.run();
	const { LAB_REGISTRY } = environment(engine, keys);
	console.log(`
The lab is up. The registry VM's private registry is https://${LAB_REGISTRY}, its caches are on ports
${caches.map(({ name, port }) => `${published(port)} (${name})`).join(", ")}.

  make lab-status                 what runs, and where
  eval "$(make -s lab-env)"       then: pulumi preview, ssh -F $LAB_SSH_CONFIG registry, crane catalog $LAB_REGISTRY
`);
}

/** Shows each line in the place of the one before; where there is no terminal, they would be thousands, and stay in the log. */
function passing(task: { output: string }): (line: string) => void {
	return (line) => {
		if (process.stdout.isTTY && line.trim()) task.output = line;
	};
}
