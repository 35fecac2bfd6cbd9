/** The pipelines in .woodpecker and .github, step by step, in the image that they build, against the lab. */
import { type SpawnOptionsWithoutStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { caches, privateRegistry, published, STACK } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import { begin, checkout, containers, docker, env, leave, loggedIn, onVm, run, type StackConfig } from "./lab.ts";
import { ARCHIVE, type CiImage, ciImage } from "./pipelines/ciImage.ts";
import { secretsOfLab } from "./pipelines/estate.ts";
import * as githubActions from "./pipelines/githubActions.ts";
import { dockerRun, inContainer, type Place } from "./pipelines/place.ts";
import * as woodpecker from "./pipelines/woodpecker.ts";
import { STORE } from "./pushed.ts";

/** The CI image's local name. */
const built = `homelab-lab/infra-ci:${process.pid}`;
let ci: CiImage;
/** The file of a pod's service account. */
let token: string;
let folder: string;
let origin: string;
let clone: string;
const told: string[] = [];
const slack = createServer((request, response) => {
	let body = "";
	request.on("data", (part) => {
		body += part;
	});
	request.on("end", () => {
		told.push(JSON.parse(body).text);
		response.end("ok");
	});
});

const git = async (cwd: string, ...args: string[]) => {
	const { exitCode, output, stdout } = await run(
		"git",
		["-c", "user.name=t", "-c", "user.email=t@example.test", ...args],
		{ cwd },
	);
	if (exitCode !== 0) throw new Error(`git ${args.join(" ")}: ${output}`);
	return stdout;
};

beforeAll(async () => {
	await begin();
	await new Promise<void>((resolve) => slack.listen(0, "127.0.0.1", resolve));
	folder = await mkdtemp(join(tmpdir(), "pipelines-test-"));
	[origin, clone] = [join(folder, "origin"), join(folder, "clone")];
	await git(folder, "clone", "--quiet", "--no-hardlinks", checkout, origin);
	await git(origin, "checkout", "--quiet", "-B", "master");
	// What is not committed yet is to be tried, too.
	const changed = (
		await git(checkout, "ls-files", "--modified", "--others", "--exclude-standard", "--deduplicate")
	).split("\n");
	for (const file of changed.filter(Boolean)) await cp(join(checkout, file), join(origin, file)).catch(() => {});
	await commit("what is tried", async () => {});
	await fresh();
	token = join(folder, "token");
	await writeFile(token, (await run("kubectl", ["--namespace", "woodpecker", "create", "token", "default"])).stdout);
	ci = await ciImage(folder);
	const { exitCode, output } = await ci.build(clone, built);
	expect(exitCode, output).toBe(0);
}, 300_000);
afterAll(async () => {
	slack.close();
	await ci[Symbol.asyncDispose]();
	await rm(folder, { recursive: true });
	await leave();
});

/** A commit on master, after the change. */
async function commit(subject: string, change: () => Promise<void>): Promise<string> {
	await change();
	await git(origin, "add", "--all");
	await git(origin, "commit", "--quiet", "--allow-empty", "--message", subject);
	return git(origin, "rev-parse", "HEAD");
}

const edit = async (file: string, text: string, replacement: string) => {
	const before = await readFile(join(origin, file), "utf8");
	expect(before).toContain(text);
	await writeFile(join(origin, file), before.replace(text, replacement));
};

/** A shallow clone of the newest commit, as the clone step makes it, with the lab's stack. */
async function fresh(target = clone): Promise<void> {
	await rm(target, { recursive: true, force: true });
	await git(folder, "clone", "--quiet", "--depth", "1", "--branch", "master", `file://${origin}`, target);
	const file = join(checkout, `Pulumi.${STACK}.yaml`);
	const { config, ...rest } = parse(await readFile(file, "utf8")) as { config: StackConfig };
	Object.assign(config["homelab-registry:driftDetection"] as object, { branch: "master" });
	await writeFile(join(target, `Pulumi.${STACK}.yaml`), stringify({ ...rest, config }));
	await symlink(join(checkout, "node_modules"), join(target, "node_modules"));
}

const secrets = () => secretsOfLab(`http://127.0.0.1:${(slack.address() as AddressInfo).port}/hook`);

/** In the image that an image of the estate stands for; the pods of Woodpecker's agents have a service account. */
function place(name: string): Place {
	return inContainer(name === INFRA_CI ? built : ci.base, folder, serviceAccount());
}
const INFRA_CI = "registry.viktorbarzin.me/infra-ci:latest";
const serviceAccount = () => `${token}:/var/run/secrets/kubernetes.io/serviceaccount/token:ro`;
const onWoodpecker = (name: string, event: string, cwd = clone) => woodpecker.play(name, event, cwd, secrets(), place);

/** The client's old builder can reach what stands for the official image and for Pulumi's releases. */
const build = (script: string) =>
	script
		.replace("docker build ", `DOCKER_BUILDKIT=0 docker build ${ci.buildArgs.join(" ")} `)
		.replace("node:24.21.0-bookworm", ci.base);
const onGitHub = (name: string, event: string, cwd = clone) =>
	githubActions.play(name, event, cwd, secrets(), place, build);

describe("the files", () => {
	it("give a pull request no secret, and guard every manual run by a variable", async () => {
		for (const name of await woodpecker.workflowNames()) {
			const { when, steps } = await woodpecker.workflow(name);
			for (const { event, evaluate } of when) {
				if (event === "manual") expect(evaluate, name).toBe(`PIPELINE == "${name}"`);
				for (const step of steps)
					expect(() => woodpecker.environment(step, event, secrets()), `${name} ${step.name}`).not.toThrow();
			}
		}
		expect(JSON.stringify(await woodpecker.workflow("pull-request"))).not.toContain("from_secret");
		expect(JSON.stringify(await githubActions.workflow("pull-request"))).not.toContain("secrets.");
	});

	it("name nothing between braces that Woodpecker would take out before the shell sees it", async () => {
		for (const name of await woodpecker.workflowNames())
			for (const { commands = [] } of (await woodpecker.workflow(name)).steps)
				expect(commands.join("\n"), name).not.toMatch(/\$\{/);
	});

	it("have an event in each condition, and the runbook says which plugins the server has to let run privileged", async () => {
		const all = await Promise.all((await woodpecker.workflowNames()).map((name) => woodpecker.workflow(name)));
		for (const { when } of all) for (const condition of when) expect(condition.event).toBeTruthy();
		const plugins = all.flatMap(({ steps }) => steps.filter(({ settings }) => settings).map(({ image }) => image));
		expect(plugins).not.toEqual([]);
		const runbook = await readFile(join(checkout, "docs/runbooks/registry-vm.md"), "utf8");
		for (const plugin of plugins) expect(runbook).toContain(`WOODPECKER_PLUGINS_PRIVILEGED=${plugin}\``);
	});

	it("are the same for GitHub: the same commands of this repository, at the same events", async () => {
		const names = await woodpecker.workflowNames();
		expect(await githubActions.workflowNames()).toEqual(names);
		const ours = (text: string) =>
			[...text.matchAll(/npm (?:run --silent )?([a-z]+)(?: -- (\S*))?/g)].map(([, command, argument = ""]) =>
				`${command} ${argument.replace('"$STACK"', "prod").replace(/".*/, "")}`.trim(),
			);
		const events = { push: "push", manual: "workflow_dispatch", cron: "schedule", pull_request: "pull_request" };
		for (const name of names) {
			const here = await woodpecker.workflow(name);
			const there = await githubActions.workflow(name);
			const steps = Object.values(there.jobs).flatMap((job) => job.steps);
			const commands = here.steps.flatMap((step) => step.commands ?? []).join("\n");
			expect(ours(steps.map((step) => step.run).join("\n")), name).toEqual(ours(commands));
			expect(Object.keys(there.on).sort(), name).toEqual(
				here.when.map(({ event }) => events[event as keyof typeof events]).sort(),
			);
			expect(pathsOf(there), name).toEqual(pathsOf(here));
			expect(there.permissions, name).toEqual({ contents: "read" });
		}
	});
});

/** The paths whose change starts it, if any. */
function pathsOf(file: woodpecker.Workflow | githubActions.Workflow): string[] {
	const push = "on" in file ? file.on.push : file.when.find(({ event }) => event === "push");
	const { paths, path } = push ?? {};
	return [paths ?? (typeof path === "object" ? path.include : path) ?? []].flat();
}

describe("a pull request", () => {
	it.each([
		["Woodpecker", onWoodpecker],
		["GitHub", onGitHub],
	])("on %s shows what would change and who is restarted", async (server, play) => {
		const branch = join(folder, "branch");
		// Both commits have the stack's file.
		await commit("the stack's file", () =>
			cp(join(origin, "Pulumi.prod.yaml"), join(origin, "Pulumi.lab.yaml"))
				.then(() => git(origin, "add", "--force", "Pulumi.lab.yaml"))
				.then(() => {}),
		);
		await fresh(branch);
		await cp(join(branch, "Pulumi.prod.yaml"), join(branch, "Pulumi.lab.yaml"));
		const conf = join(branch, "components/registryVm/nginx.ts");
		await writeFile(conf, (await readFile(conf, "utf8")).replace("server_tokens off;", "server_tokens off; # tried"));
		await git(branch, "commit", "--quiet", "--all", "--message", "tried");
		const { exitCode, output, ...rest } = await play("pull-request", "pull_request", branch);
		await git(origin, "reset", "--quiet", "--hard", "HEAD~1");
		expect(exitCode, output).toBe(0);
		const shown = "summary" in rest ? rest.summary : output;
		expect(shown, server).toContain("### What this would change in lab");
		expect(shown).toMatch(/- \*\*docker-registry: nginx is restarted\*\*: `\/opt\/registry\/nginx.conf`/);
		expect(shown).toMatch(/silent for up to \d+ s while nginx is restarted/);
		expect(shown).toContain("+\tserver_tokens off; # tried");
	});
});

/** Listens on a port of this machine for what goes to another one. */
async function forward(from: number, to: number): Promise<TcpServer> {
	const server = createTcpServer((client) => {
		const target = connect(to, "127.0.0.1");
		for (const socket of [client, target]) socket.on("error", () => [client, target].map((one) => one.destroy()));
		client.pipe(target).pipe(client);
	}).listen(from, "127.0.0.1");
	await once(server, "listening");
	return server;
}

describe("a merge", () => {
	it("becomes live, and people are told who was restarted, and how long each port was silent", async () => {
		const before = await containers();
		// The lab's ports are elsewhere than its config says.
		const registries = [...caches, privateRegistry];
		const ports = await Promise.all(registries.map(({ port }) => forward(port, published(port))));
		await commit("nginx says it was tried", () =>
			edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # tried"),
		);
		await fresh();
		const { exitCode, output } = await onWoodpecker("deploy", "push");
		expect(exitCode, output).toBe(0);
		for (const port of ports) port.close();
		expect(told.at(-1)).toMatch(
			/^:rocket: \*lab\*: deployed [0-9a-f]+ nginx says it was tried: \d replace, \d update; restarted registry-nginx; silent: 5000 for \d+\.\d s, .*5050 for \d+\.\d s$/,
		);
		expect(await onVm("grep -c '# tried' /opt/registry/nginx.conf")).toBe("1");
		expect((await containers())["registry-ghcr"]).toEqual(before["registry-ghcr"]);
	});

	it("that breaks nginx.conf is not deployed: nothing changes, and people are told why", async () => {
		const before = await containers();
		await commit("broken", () =>
			edit("components/registryVm/nginx.ts", "server_tokens off; # tried", "server_tokens perhaps;"),
		);
		await fresh();
		const { exitCode, output } = await onGitHub("deploy", "push");
		expect(exitCode, output).toBe(1);
		expect(told.at(-1)).toMatch(/^:red_circle: \*lab\*: not deployed: [0-9a-f]+ broken: .*invalid value "perhaps"/s);
		expect(await containers()).toEqual(before);
	});

	it("that takes it back, and gives way to a newer one, and changes nothing", async () => {
		await commit("back", () =>
			edit("components/registryVm/nginx.ts", "server_tokens perhaps;", "server_tokens off; # tried"),
		);
		await fresh();
		const newest = await commit("newer", async () => {});
		const { exitCode, output } = await onWoodpecker("deploy", "push");
		expect(exitCode, output).toBe(0);
		expect(told.at(-1)).toContain(`gives way to ${newest.slice(0, 8)}`);
		expect(output).not.toContain("refresh");
	});

	const login = { PATH: env("PATH"), HOME: env("HOME"), VAULT_TOKEN: env("VAULT_TOKEN") };
	const environment = async () => {
		const [step] = (await woodpecker.workflow("deploy")).steps as [woodpecker.Step];
		return woodpecker.environment(step, "push", secrets());
	};
	const start = ([file = "", ...args]: string[], options: SpawnOptionsWithoutStdio) => {
		const child = spawn(file, args, { ...options, cwd: clone });
		let said = "";
		for (const stream of [child.stdout, child.stderr])
			stream.setEncoding("utf8").on("data", (part: string) => {
				said += part;
			});
		return { child, ended: once(child, "close"), isAtWork: async () => said.includes("refresh"), said: () => said };
	};
	const sign = async () => (await run("pulumi", ["stack", "tag", "get", "deploy", "--stack", STACK])).stdout;

	it("killed half-way: the next run takes its lock over at once, and finishes", async () => {
		await fresh();
		const env = { ...(await environment()), ...login };
		const deploy = ["node", "scripts/deploy.ts", STACK];
		const { child, ended, isAtWork } = start(deploy, { detached: true, env });
		await until("it is at work", 60, isAtWork);
		process.kill(-(child.pid as number), "SIGKILL");
		await ended;
		const { exitCode, output } = await run("node", deploy.slice(1), { cwd: clone, env });
		expect(exitCode, output).toBe(0);
		expect(output).toMatch(/the run that held lab \(\S+ \(pid \d+\).*\) has died; its lock is taken away/);
	});

	it("whose container is killed half-way: the next one, whose processes have the same numbers, takes its lock over", async () => {
		await fresh();
		const command = [built, "ci/with-vault.sh", ..."npm run --silent deploy --".split(" "), STACK, "--silence", "6"];
		const more = [serviceAccount()];
		const name = `pipelines-killed-${process.pid}`;
		const killed = dockerRun(command, { folder, cwd: clone, variables: await environment(), more, name });
		const { ended, isAtWork, said } = start(["docker", ...killed.args], { env: killed.env });
		const before = await sign();
		await until("it is at work, and has given a sign", 60, async () => (await isAtWork()) && (await sign()) !== before);
		await docker("kill", name);
		await ended;
		const { exitCode, output } = await place(INFRA_CI)(command.slice(1), clone, await environment());
		expect(exitCode, said() + output).toBe(0);
		// It has this machine's network, and so its name.
		expect(output).toContain(`@${hostname()} `);
		expect(output).toMatch(
			/lab is held by .*; waiting\n(.*\n)*?the run that held lab .* has died; its lock is taken away/,
		);
	});

	// A host name of its own is all that Pulumi and the next run know of another machine.
	const namespaces = process.getuid?.() === 0 ? ["--uts"] : ["--user", "--map-root-user", "--uts"];
	const elsewhere = ["unshare", ...namespaces, "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"];

	it("at work on another machine, longer than the silence that means death: the next run waits for it", async () => {
		await fresh();
		const env = { ...(await environment()), ...login };
		const deploy = ["node", "scripts/deploy.ts", STACK, "--silence", "3"];
		const { ended, isAtWork } = start([...elsewhere, ...deploy], { env });
		await until("it is at work", 60, isAtWork);
		const { exitCode, output } = await run("node", deploy.slice(1), { cwd: clone, env });
		expect(exitCode, output).toBe(0);
		expect(output).toMatch(/lab is held by \S+@elsewhere .*; waiting/);
		expect(output).not.toContain("has died");
		expect((await ended)[0]).toBe(0);
	});
});

describe("the drift run", () => {
	it("is content with what was just deployed", async () => {
		await fresh();
		const { exitCode, output } = await onGitHub("drift-detection", "cron");
		expect(exitCode, output).toBe(0);
	});

	it("finds what was changed by hand, and fails for it", async () => {
		await fresh();
		await onVm("chmod 0600 /opt/registry/nginx.conf");
		const { exitCode, output } = await onWoodpecker("drift-detection", "cron");
		expect(exitCode, output).toBe(2);
		expect(told.at(-1), output).toContain("mode of /opt/registry/nginx.conf");
	});
});

describe("the CI image", () => {
	const image = () => `${env("LAB_REGISTRY")}/infra-ci`;
	let client: { env: Record<string, string> };
	const digest = async (tag: string) => (await run("crane", ["digest", `${image()}:${tag}`], client)).stdout;

	beforeAll(async () => {
		client = await loggedIn(folder);
	});
	afterAll(async () => {
		await onVm(`rm -rf ${STORE}/repositories/infra-ci`);
	});

	/** An image that is latest's and a layer more, pushed by that tag; resolves with the layer. */
	async function pushAnother(tag: string): Promise<string> {
		const layer = join(folder, `${tag}.tar`);
		await writeFile(join(folder, tag), tag);
		await run("tar", ["--create", `--file=${layer}`, "--directory", folder, tag]);
		const named = ["--base", `${image()}:latest`, "--new_layer", layer, "--new_tag", `${image()}:${tag}`];
		const { exitCode, output } = await run("crane", ["append", ...named], client);
		expect(exitCode, output).toBe(0);
		const { layers } = JSON.parse((await run("crane", ["manifest", `${image()}:${tag}`], client)).stdout);
		return layers.at(-1).digest;
	}

	/** What the pipeline's first step calls the image; its plugin can't be had here. */
	async function tags(): Promise<string[]> {
		const [{ settings = {} }] = (await woodpecker.workflow("build-ci-image")).steps as [woodpecker.Step];
		expect(settings).toMatchObject({ dockerfile: "ci/Dockerfile", context: "ci" });
		const sha = await git(clone, "rev-parse", "HEAD");
		return (settings["tags"] as string[]).map((tag) => woodpecker.expand(tag, { CI_COMMIT_SHA: sha }));
	}

	it("has the plugins that its Dockerfile names, so that no run fetches them", async () => {
		const { stdout } = await docker("run", "--rm", built, "pulumi", "plugin", "ls", "--json");
		const found = (JSON.parse(stdout) as { name: string; version: string }[]).map(
			({ name, version }) => `${name}@${version}`,
		);
		const dockerfile = await readFile(join(clone, "ci/Dockerfile"), "utf8");
		expect(found.sort()).toEqual(/^ARG PLUGINS="(.+)"$/m.exec(dockerfile)?.[1]?.split(" "));
	});

	it("is not built of an archive that is not the published one", async () => {
		const { exitCode, output } = await ci.build(clone, `${built}-not`, "0".repeat(64));
		expect(exitCode).not.toBe(0);
		expect(output).toContain(`${ARCHIVE}: FAILED`);
	});

	it("is built, pushed and found whole by GitHub's runner, and leaves no login there", async () => {
		await fresh();
		const { exitCode, output } = await onGitHub("build-ci-image", "push");
		expect(exitCode, output).toBe(0);
		const tag = (await git(clone, "rev-parse", "HEAD")).slice(0, 8);
		expect(await digest("latest")).toBe(await digest(tag));
		expect(output).toContain(`${image()}:latest is ${await digest("latest")} now`);
		expect(await readdir(`${clone}.home`)).not.toContain(".docker");
		await docker("rmi", `${image()}:${tag}`);
	});

	it("is latest when it was found whole, not before", async () => {
		await commit("another image", async () => {});
		await fresh();
		const before = await digest("latest");
		const [tag = "", ...others] = await tags();
		expect([tag, ...others]).toEqual([expect.stringMatching(/^[0-9a-f]{8}$/)]);
		await pushAnother(tag);
		const played = await onWoodpecker("build-ci-image", "push");
		expect(played.exitCode, played.output).toBe(0);
		expect(await digest("latest")).toBe(await digest(tag));
		expect(await digest("latest")).not.toBe(before);
		expect(played.output).toContain(`${image()}:latest is ${await digest("latest")} now`);
	});

	it("that is broken is caught: latest stays what it was, and people are told", async () => {
		const before = await digest("latest");
		await commit("a broken image", async () => {});
		await fresh();
		const [tag = ""] = await tags();
		const lost = await pushAnother(tag);
		const hex = lost.replace("sha256:", "");
		await onVm(`rm ${STORE}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`);
		const { exitCode, output } = await onWoodpecker("build-ci-image", "push");
		expect(exitCode, output).toBe(1);
		expect(output).toContain(`infra-ci ${lost} `);
		expect(await digest("latest")).toBe(before);
		expect(told.at(-1)).toMatch(
			new RegExp(`^:red_circle: the CI image of ${tag}[0-9a-f]{32} is broken or was not built`),
		);
	});

	it("whose build fails on GitHub's runner is told to people, too", async () => {
		await commit("no image", () => edit("ci/Dockerfile", "ARG PULUMI_VERSION=", "ARG PULUMI_VERSION=0"));
		await fresh();
		const { exitCode, output } = await onGitHub("build-ci-image", "push");
		expect(exitCode, output).not.toBe(0);
		// What curl ends with where a server says no.
		expect(output).toContain("returned a non-zero code: 22");
		expect(told.at(-1)).toMatch(/^:red_circle: the CI image of .* was not built, see https:\/\/github.example\//);
	});
});
