/** The lab: up, status, down, clean, env. See `make help`. */
import { appendFile, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { Listr, PRESET_TIMER } from "listr2";
import { type Engine, findEngine, hasOwnEngine, startEngine, stopEngine } from "./engine.ts";
import { caches, dns, network, privateRegistry, published, registryVm } from "./estate.ts";
import { buildImages, type Images } from "./images.ts";
import { type Keys, makeKeys, readKeys, sshConfigPath } from "./keys.ts";
import { LABEL, loadVmImages, startDns, startNetwork, startRegistryVm, startUpstreams } from "./machines.ts";
import { cache, checkout, paths } from "./paths.ts";
import { installPlugins } from "./plugins.ts";
import { runs, Step, StepError } from "./run.ts";
import { configureStack, environment, pulumiEnvironment, releaseStack, STACK } from "./stack.ts";
import { forgetBuildCaches, provide, tools } from "./tools.ts";
import { fillUpstreams } from "./upstreams.ts";

interface Context {
	engine: Engine;
	images: Images;
	keys: Keys;
	env: Record<string, string>;
}

async function up(): Promise<void> {
	await mkdir(cache, { recursive: true });
	await using _lock = await lock();
	process.env["PATH"] = `${paths.bin}:${process.env["PATH"]}`;
	const env = { ...pulumiEnvironment() };
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
									const how = await provide(tool, (line) => {
										task.output = line;
									});
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
				},
			},
			{
				title: "Network, DNS and upstream registries",
				task: async (context, task) => {
					const step = new Step("upstreams");
					await startNetwork(context.engine, step);
					await startDns(context.engine, step, context.images);
					const addresses = await startUpstreams(context.engine, step, context.images);
					const filled = await fillUpstreams(step, addresses, env);
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
					task.title += `: Pulumi.${STACK}.yaml ${await configureStack(step, context.keys, env)}`;
					if (await releaseStack(step, env)) task.title += ", unlocked after a run that was killed";
				},
			},
			{
				title: "pulumi up",
				task: async (_, task) => {
					const step = new Step("pulumi-up");
					const output = await step.run(
						"pulumi",
						["up", "--yes", "--non-interactive", "--stack", STACK, "--suppress-progress"],
						{
							cwd: checkout,
							env,
							onLine: (line) => {
								if (line.trim()) task.output = line;
							},
						},
					);
					const resources = [...output.matchAll(/Resources:\n((?: +.*\n?)+)/g)]
						.at(-1)?.[1]
						?.trim()
						.split(/\s*\n\s*/)
						.join(", ");
					task.title += `: ${resources ?? "done"}`;
				},
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

/** Installs what a bare Debian lacks; elsewhere it only says what is missing. */
async function installPackages(step: Step): Promise<string> {
	const engineAnswers = (await findEngine(step)) !== undefined;
	const wanted: [program: string, pkg: string][] = [
		["ssh-keygen", "openssh-client"],
		["openssl", "openssl"],
		["shellcheck", "shellcheck"],
		...(engineAnswers
			? []
			: ([
					["dockerd", "docker.io"],
					["iptables", "iptables"],
				] as [string, string][])),
		["debootstrap", "debootstrap"],
	];
	const missing: [string, string][] = [];
	for (const entry of wanted) if (!(await step.ask("sh", ["-c", `command -v ${entry[0]}`]))) missing.push(entry);
	if (missing.length === 0) return "all there";
	const debianRoot = await step.ask("sh", ["-c", "[ $(id -u) = 0 ] && command -v apt-get"]);
	if (!debianRoot) {
		const needed = missing.filter(([program]) => program !== "debootstrap");
		if (needed.length === 0) return "all there";
		throw new StepError(
			`this machine lacks ${needed.map(([program]) => program).join(", ")}; install ${needed.map(([, pkg]) => pkg).join(", ")}, or run make lab as root on Debian`,
		);
	}
	const packages = missing.map(([, pkg]) => pkg);
	const env = { DEBIAN_FRONTEND: "noninteractive" };
	const patiently = ["-q", "-o", "DPkg::Lock::Timeout=300"]; // One that outlived a killed make may still be at it.
	await step.run("dpkg", ["--configure", "-a"], { env });
	await step.run("apt-get", ["update", ...patiently], { env });
	await step.run("apt-get", ["install", "-y", ...patiently, "--no-install-recommends", ...packages], { env });
	return `installed ${packages.join(", ")}`;
}

async function status(): Promise<void> {
	const step = new Step("status");
	const engine = await findEngine(step);
	const rows: [string, string, string][] = [
		[
			"docker engine",
			engine ? (engine.ours ? "running (the lab's)" : "running (yours)") : "not running",
			engine?.host ?? "",
		],
	];
	const state = async (container: string) =>
		(await engine?.ask(step, ["inspect", "--format", "{{.State.Status}}", container])) ?? "absent";
	rows.push(["dns", await state(dns.container), `${dns.address} in network ${network.name}`]);
	for (const { name, upstream } of caches)
		rows.push([`upstream ${name}`, await state(upstream.container), upstream.url]);
	rows.push(["registry VM", await state(registryVm.container), `ssh -F ${sshConfigPath} registry`]);
	const answers = async (url: string) =>
		fetch(url, { signal: AbortSignal.timeout(3000) }).then(
			({ status }) => `answers ${status}`,
			() => "silent",
		);
	for (const { name, port } of caches)
		rows.push([
			`cache ${name}`,
			await answers(`http://127.0.0.1:${published(port)}/v2/`),
			`http://127.0.0.1:${published(port)}`,
		]);
	const url = `https://localhost:${published(privateRegistry.port)}`;
	const code = await step.ask("curl", [
		"-s",
		"-o",
		"/dev/null",
		"-w",
		"%{http_code}",
		"--cacert",
		join(paths.keys, "ca.pem"),
		`${url}/v2/`,
	]);
	rows.push(["private registry", code ? `answers ${code}` : "silent", url]);
	rows.push([
		"registry UI",
		await answers(`http://127.0.0.1:${published(registryVm.uiPort)}/`),
		`http://127.0.0.1:${published(registryVm.uiPort)}`,
	]);
	const widths = [0, 1].map((i) => Math.max(...rows.map((row) => (row[i] as string).length)));
	for (const [part, how, where] of rows)
		console.log(`${part.padEnd(widths[0] as number)}  ${how.padEnd(widths[1] as number)}  ${where}`);
}

/** Removes the lab's containers and network, and stops the engine if it is the lab's own. */
async function down(): Promise<void> {
	await using _lock = await lock();
	await takeDown();
	console.log("the lab is down; make lab brings it back as it was built");
}

/** The engine to take down: the lab's own is started once more where it died and left containers. */
async function engineToStop(step: Step): Promise<Engine | undefined> {
	return (await hasOwnEngine()) ? startEngine(step) : findEngine(step);
}

async function takeDown(): Promise<void> {
	const step = new Step("down");
	const engine = await engineToStop(step);
	if (engine !== undefined) {
		const containers = (await engine.docker(step, ["ps", "--all", "--quiet", "--filter", `label=${LABEL}`]))
			.split("\n")
			.filter(Boolean);
		if (containers.length > 0) await engine.docker(step, ["stop", "--time", "20", ...containers]);
	}
	await stopEngine();
}

async function clean(): Promise<void> {
	{
		await using _lock = await lock();
		const step = new Step("clean");
		const engine = await engineToStop(step);
		if (engine !== undefined) {
			const list = async (args: string[]) => (await engine.docker(step, args)).split("\n").filter(Boolean);
			const containers = await list(["ps", "--all", "--quiet", "--filter", `label=${LABEL}`]);
			if (containers.length > 0) await engine.docker(step, ["rm", "--force", "--volumes", ...containers]);
			await engine.ask(step, ["network", "rm", network.name]);
			const images = await list(["images", "--quiet", "--filter", "reference=homelab-lab/*"]);
			if (images.length > 0) await engine.docker(step, ["rmi", "--force", ...new Set(images)]);
		}
		await stopEngine();
	}
	await rm(cache, { recursive: true, force: true });
	await rm(join(checkout, `Pulumi.${STACK}.yaml`), { force: true });
	console.log("nothing of the lab is left");
}

async function printEnvironment(): Promise<void> {
	const engine = await findEngine(new Step("env"));
	if (engine === undefined) throw new StepError("the lab is not up; run make lab");
	for (const [name, value] of Object.entries(environment(engine, await readKeys()))) {
		console.log(`export ${name}='${value.replaceAll("'", `'\\''`)}'`);
	}
}

/** One `make lab` at a time a machine, whichever checkout it comes from. */
async function lock(): Promise<AsyncDisposable> {
	const path = join(cache, "lock");
	await mkdir(cache, { recursive: true });
	for (;;) {
		try {
			const file = await open(path, "wx");
			await appendFile(file, `${process.pid}`);
			await file.close();
			return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
			const pid = Number(await readFile(path, "utf8").catch(() => ""));
			if (pid && (await runs(pid, "main.ts")))
				throw new StepError(`another make is at work on the lab (pid ${pid}); wait for it to end`);
			await rm(path, { force: true }); // Its owner was killed.
		}
	}
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.on(signal, () => {
		console.error(`\n${signal}: stopped; run the same again to go on`);
		process.exit(130);
	});
}

const program = new Command().name("lab").description("A local estate made of real parts.");
program.command("up").description("build what is missing, start it, and run pulumi up against it").action(up);
program.command("status").description("each part, its state and where it is").action(status);
program.command("down").description("stop everything").action(down);
program.command("clean").description("stop everything and remove all of it").action(clean);
program.command("env").description("print shell exports for working with the lab by hand").action(printEnvironment);
await program.parseAsync().catch((error: unknown) => {
	if (!(error instanceof StepError)) throw error;
	console.error(error.message);
	process.exitCode = 1;
});
