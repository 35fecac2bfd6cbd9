/** The pipelines in .woodpecker, step by step, as Woodpecker runs them, against the lab. */
import { type SpawnOptionsWithoutStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { caches, privateRegistry, published, STACK } from "../../lab/estate.ts";
import { buildCiBase } from "../../lab/images.ts";
import { Step as LabStep, until } from "../../lab/run.ts";
import {
	begin,
	checkout,
	containers,
	docker,
	env,
	leave,
	loggedIn,
	type Outcome,
	onVm,
	run,
	type StackConfig,
} from "./lab.ts";
import { STORE } from "./pushed.ts";

type Value = string | { from_secret: string };
interface Step {
	name: string;
	environment?: Record<string, Value>;
	settings?: Record<string, unknown>;
	commands?: string[];
	when?: { status?: string }[];
}
interface Workflow {
	when: { event: string; evaluate?: string }[];
	steps: Step[];
}

/** In which events Woodpecker gives each secret of the repository to a pipeline. */
const EVENTS: Record<string, string[]> = {
	pulumi_backend_url: ["push", "manual", "cron"],
	pulumi_config_passphrase: ["push", "manual", "cron"],
	woodpecker_admin_token: ["push", "manual", "cron"],
	slack_webhook: ["push", "manual", "cron"],
	registry_user: ["push", "manual"],
	registry_password: ["push", "manual"],
};

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

async function workflow(name: string): Promise<Workflow> {
	return parse(await readFile(join(checkout, `.woodpecker/${name}.yaml`), "utf8"));
}

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
});
afterAll(async () => {
	slack.close();
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

/** What a step's commands have in their environment. Throws where Woodpecker would not give it a secret. */
function environment(step: Step, event: string): Record<string, string> {
	const { port } = slack.address() as AddressInfo;
	const secrets: Record<string, string> = {
		pulumi_backend_url: env("PULUMI_BACKEND_URL"),
		pulumi_config_passphrase: env("PULUMI_CONFIG_PASSPHRASE"),
		woodpecker_admin_token: env("LAB_WOODPECKER_TOKEN"),
		slack_webhook: `http://127.0.0.1:${port}/hook`,
		registry_user: env("LAB_REGISTRY_USER"),
		registry_password: env("LAB_REGISTRY_PASSWORD"),
	};
	const declared = Object.entries(step.environment ?? {}).map(([name, value]) => {
		if (typeof value === "string") return [name, value] as const;
		const { from_secret: secret } = value;
		if (!EVENTS[secret]?.includes(event)) throw new Error(`secret ${secret} is not given in the event ${event}`);
		return [name, secrets[secret] ?? ""] as const;
	});
	// The lab in place of the estate.
	const lab = [
		"PATH",
		"HOME",
		"PULUMI_HOME",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
		"PULUMI_SKIP_UPDATE_CHECK",
	];
	const reached = ["KUBECONFIG", "VAULT_ADDR", "VAULT_TOKEN", "VAULT_CACERT"];
	const outside = Object.fromEntries([...lab, ...reached].map((name) => [name, process.env[name] ?? ""]));
	const ca = { NODE_EXTRA_CA_CERTS: env("LAB_REGISTRY_CA") };
	return {
		CI: "woodpecker",
		CI_COMMIT_TARGET_BRANCH: "master",
		...Object.fromEntries(declared),
		...outside,
		...ca,
		STACK,
	};
}

/**
 * Each item in a shell of its own, after Woodpecker has put in what is between ${ and }. After the first that fails, only the
 * steps for failures. The lab's registry is in the place of the estate's.
 */
async function play(name: string, event: string, cwd = clone): Promise<Outcome> {
	const { steps } = await workflow(name);
	const last: Outcome = { exitCode: 0, output: "", stdout: "" };
	const commit = { CI_COMMIT_SHA: await git(cwd, "rev-parse", "HEAD") };
	for (const step of steps) {
		if (last.exitCode === 0 ? step.when : !step.when?.some(({ status }) => status === "failure")) continue;
		const variables = { ...environment(step, event), ...commit };
		for (const item of step.commands ?? []) {
			if (["npm ci", "npm test", "npm run --silent lint"].includes(item)) continue; // The suite itself.
			const expanded = expand(item, variables).replaceAll("registry.viktorbarzin.me:5050", env("LAB_REGISTRY"));
			const { exitCode, output } = await run("sh", ["-ec", expanded], { cwd, env: variables, extendEnv: false });
			last.output += output;
			last.exitCode ||= exitCode;
			if (exitCode !== 0) break;
		}
	}
	return last;
}

/** As Woodpecker does it, and its docs say: `${NAME}`, `${NAME:from:length}`; `$${NAME}` is the shell's. */
function expand(text: string, variables: Record<string, string>): string {
	return text.replace(/(\$?)\$\{(\w+)(?::(\d+):(\d+))?\}/g, (_, escaped, word, from, length) => {
		if (escaped) return `\${${word}}`;
		const value = variables[word] ?? "";
		return from === undefined ? value : value.slice(Number(from), Number(from) + Number(length));
	});
}

describe("the files", () => {
	it("give a pull request no secret, and guard every manual run by a variable", async () => {
		for (const file of await readdir(join(checkout, ".woodpecker"))) {
			const { when, steps } = await workflow(file.replace(".yaml", ""));
			for (const { event, evaluate } of when) {
				if (event === "manual") expect(evaluate, file).toBe(`PIPELINE == "${file.replace(".yaml", "")}"`);
				for (const step of steps) expect(() => environment(step, event), `${file} ${step.name}`).not.toThrow();
			}
		}
		expect(JSON.stringify(await workflow("pull-request"))).not.toContain("from_secret");
	});

	it("name nothing between braces that Woodpecker would take out before the shell sees it", async () => {
		for (const file of await readdir(join(checkout, ".woodpecker")))
			for (const { commands = [] } of (await workflow(file.replace(".yaml", ""))).steps)
				expect(commands.join("\n"), file).not.toMatch(/\$\{/);
	});
});

describe("a pull request", () => {
	it("shows what would change and who is restarted", async () => {
		const branch = join(folder, "branch");
		await fresh(branch);
		const conf = join(branch, "components/registryVm/nginx.ts");
		await writeFile(conf, (await readFile(conf, "utf8")).replace("server_tokens off;", "server_tokens off; # tried"));
		await cp(join(branch, "Pulumi.prod.yaml"), join(branch, "Pulumi.lab.yaml"));
		await git(branch, "add", "--force", "Pulumi.lab.yaml");
		// Both commits have the stack's file.
		await commit("the stack's file", () =>
			cp(join(origin, "Pulumi.prod.yaml"), join(origin, "Pulumi.lab.yaml"))
				.then(() => git(origin, "add", "--force", "Pulumi.lab.yaml"))
				.then(() => {}),
		);
		const { exitCode, output } = await play("pull-request", "pull_request", branch);
		await git(origin, "reset", "--quiet", "--hard", "HEAD~1");
		expect(exitCode, output).toBe(0);
		expect(output).toContain("### What this would change in lab");
		expect(output).toMatch(/- \*\*docker-registry: nginx is restarted\*\*: `\/opt\/registry\/nginx.conf`/);
		expect(output).toContain("+\tserver_tokens off; # tried");
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
		const { exitCode, output } = await play("deploy", "push");
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
		const { exitCode } = await play("deploy", "push");
		expect(exitCode).toBe(1);
		expect(told.at(-1)).toMatch(/^:red_circle: \*lab\*: not deployed: [0-9a-f]+ broken: .*invalid value "perhaps"/s);
		expect(await containers()).toEqual(before);
	});

	it("that takes it back, and gives way to a newer one, and changes nothing", async () => {
		await commit("back", () =>
			edit("components/registryVm/nginx.ts", "server_tokens perhaps;", "server_tokens off; # tried"),
		);
		await fresh();
		const newest = await commit("newer", async () => {});
		const { exitCode, output } = await play("deploy", "push");
		expect(exitCode, output).toBe(0);
		expect(told.at(-1)).toContain(`gives way to ${newest.slice(0, 8)}`);
		expect(output).not.toContain("refresh");
	});

	// A host name of its own is all that Pulumi and the next run know of another machine.
	const namespaces = process.getuid?.() === 0 ? ["--uts"] : ["--user", "--map-root-user", "--uts"];
	const elsewhere = ["unshare", ...namespaces, "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"];
	const start = (command: string[], options: SpawnOptionsWithoutStdio) =>
		spawn(command[0] as string, command.slice(1), { ...options, cwd: clone });

	const sign = async () => (await run("pulumi", ["stack", "tag", "get", "deploy", "--stack", STACK])).stdout;

	it.each([
		["on this machine", []],
		["on another machine", elsewhere],
	])("killed half-way %s: the next run takes its lock over, and finishes", async (_, place) => {
		await fresh();
		const [step] = (await workflow("deploy")).steps as [Step];
		const env = environment(step, "push");
		const deploy = ["node", "scripts/deploy.ts", STACK, "--silence", "6"];
		const child = start([...place, ...deploy], { detached: true, env });
		for await (const part of child.stderr.setEncoding("utf8")) if (String(part).includes("refresh")) break;
		if (place.length > 0) await until("it has given a sign", 30, async () => (await sign()).startsWith("elsewhere "));
		process.kill(-(child.pid as number), "SIGKILL");
		if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
		const { exitCode, output } = await run("node", deploy.slice(1), { cwd: clone, env });
		expect(exitCode, output).toBe(0);
		expect(output).toMatch(/the run that held lab \(\S+ \(pid \d+\).*\) has died; its lock is taken away/);
		if (place.length > 0) expect(output).toMatch(/lab is held by \S+@elsewhere .*; waiting/);
	});

	it("at work on another machine, longer than the silence that means death: the next run waits for it", async () => {
		await fresh();
		const [step] = (await workflow("deploy")).steps as [Step];
		const env = environment(step, "push");
		const deploy = ["node", "scripts/deploy.ts", STACK, "--silence", "3"];
		const child = start([...elsewhere, ...deploy], { env });
		const ended = once(child, "close");
		await new Promise<void>((resolve) => {
			child.stderr.setEncoding("utf8").on("data", (part: string) => part.includes("refresh") && resolve());
		});
		const { exitCode, output } = await run("node", deploy.slice(1), { cwd: clone, env });
		expect(exitCode, output).toBe(0);
		expect(output).toMatch(/lab is held by \S+@elsewhere .*; waiting/);
		expect(output).not.toContain("has died");
		expect((await ended)[0]).toBe(0);
	});
});

describe("the drift run", () => {
	it("is content with what was just deployed", async () => {
		const { exitCode, output } = await play("drift-detection", "cron");
		expect(exitCode, output).toBe(0);
	});

	it("finds what was changed by hand, and fails for it", async () => {
		await onVm("chmod 0600 /opt/registry/nginx.conf");
		const { exitCode, output } = await play("drift-detection", "cron");
		expect(exitCode, output).toBe(2);
		expect(told.at(-1), output).toContain("mode of /opt/registry/nginx.conf");
	});
});

describe("the CI image", () => {
	const released = "pulumi-v3.248.0-linux-x64.tar.gz";
	/** The image's local name. */
	const built = `homelab-lab/infra-ci:${process.pid}`;
	let base: string;
	let archive: string;
	let client: { env: Record<string, string> };
	/** What the checksum is said to be. */
	let checksum: string;
	// A stand-in for the place of Pulumi's releases.
	const releases = createServer((request, response) => {
		if (request.url === `/v3.248.0/${released}`) createReadStream(archive).pipe(response);
		else if (request.url === "/v3.248.0/pulumi-3.248.0-checksums.txt")
			response.end(`${"0".repeat(64)}  pulumi-v3.248.0-linux-arm64.tar.gz\n${checksum}  ${released}\n`);
		else response.writeHead(404).end();
	});
	const image = () => `${env("LAB_REGISTRY")}/infra-ci`;
	const digest = async (tag: string) => (await run("crane", ["digest", `${image()}:${tag}`], client)).stdout;

	beforeAll(async () => {
		const step = new LabStep("ci-image");
		base = await buildCiBase((await findEngine(step)) as Engine, step);
		archive = join(folder, released);
		const find = async (file: string) => (await run("sh", ["-c", 'command -v "$0"', file])).stdout;
		const files = await Promise.all(["pulumi", "pulumi-language-nodejs"].map(find));
		const tar = ["--create", "--use-compress-program=gzip -1", "--transform=s,.*/,pulumi/,", "--absolute-names"];
		expect((await run("tar", [...tar, `--file=${archive}`, ...files])).output).toBe("");
		checksum = (await run("sha256sum", [archive])).stdout.slice(0, 64);
		client = await loggedIn(folder);
		await new Promise<void>((resolve) => releases.listen(0, "127.0.0.1", resolve));
	}, 300_000);
	afterAll(async () => {
		releases.close();
		await docker("rmi", "--force", built);
		await onVm(`rm -rf ${STORE}/repositories/infra-ci`);
	});

	/** Builds as the pipeline's first step says, whose plugin can't be had here. */
	async function build(): Promise<Outcome> {
		const [{ settings = {} }] = (await workflow("build-ci-image")).steps as [Step];
		const { port } = releases.address() as AddressInfo;
		const args = { BASE: base, RELEASES: `http://127.0.0.1:${port}` };
		const given = Object.entries(args).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
		const files = ["--file", String(settings["dockerfile"]), String(settings["context"])];
		const command = ["build", "--no-cache", "--network", "host", "--tag", built, ...given, ...files];
		const engine = { DOCKER_HOST: env("LAB_DOCKER_HOST"), DOCKER_BUILDKIT: "0" };
		return run("docker", command, { cwd: clone, env: engine });
	}

	/** Pushes by the tags of that step, and no others. */
	async function push(): Promise<string[]> {
		const [{ settings = {} }] = (await workflow("build-ci-image")).steps as [Step];
		const sha = await git(clone, "rev-parse", "HEAD");
		const tags = (settings["tags"] as string[]).map((tag) => expand(tag, { CI_COMMIT_SHA: sha }));
		const file = join(folder, "image.tar");
		await docker("save", "--output", file, built);
		for (const tag of tags) {
			const { exitCode, output } = await run("crane", ["push", file, `${image()}:${tag}`], client);
			expect(exitCode, output).toBe(0);
		}
		await rm(file);
		return tags;
	}

	it("is not built of an archive that is not the published one", async () => {
		const published = checksum;
		checksum = "0".repeat(64);
		const { exitCode, output } = await build();
		checksum = published;
		expect(exitCode).not.toBe(0);
		expect(output).toContain(`${released}: FAILED`);
	});

	it("has what the pipelines call, and is latest when it was found whole, not before", async () => {
		await fresh();
		const { exitCode, output } = await build();
		expect(exitCode, output).toBe(0);
		const called = "pulumi version && node --version && git --version && ssh -V && curl --version";
		const { output: versions } = await docker("run", "--rm", built, "sh", "-ec", called);
		expect(versions).toContain("v3.248.0\nv24.21.0\ngit version");

		const before = await digest("latest");
		const [tag, ...others] = await push();
		expect([tag, ...others]).toEqual([expect.stringMatching(/^[0-9a-f]{8}$/)]);
		expect(await digest("latest")).toBe(before);
		const played = await play("build-ci-image", "push");
		expect(played.exitCode, played.output).toBe(0);
		expect(await digest("latest")).toBe(await digest(String(tag)));
		expect(played.output).toContain(`${image()}:latest is ${await digest("latest")} now`);
	});

	it("that is broken is caught: latest stays what it was, and people are told", async () => {
		const before = await digest("latest");
		await commit("another image", async () => {});
		await fresh();
		const tag = (await git(clone, "rev-parse", "HEAD")).slice(0, 8);
		const layer = join(folder, "layer.tar");
		await run("tar", ["--create", `--file=${layer}`, "--directory", clone, "package.json"]);
		await run(
			"crane",
			["append", "--base", `${image()}:latest`, "--new_layer", layer, "--new_tag", `${image()}:${tag}`],
			client,
		);
		const { layers } = JSON.parse((await run("crane", ["manifest", `${image()}:${tag}`], client)).stdout);
		const lost = layers.at(-1).digest as string;
		const hex = lost.replace("sha256:", "");
		await onVm(`rm ${STORE}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`);
		const { exitCode, output } = await play("build-ci-image", "push");
		expect(exitCode, output).toBe(1);
		expect(output).toContain(`infra-ci ${lost} `);
		expect(await digest("latest")).toBe(before);
		expect(told.at(-1)).toMatch(
			new RegExp(`^:red_circle: the CI image of ${tag}[0-9a-f]{32} is broken or was not built`),
		);
	});
});
