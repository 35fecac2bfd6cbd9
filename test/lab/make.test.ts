/** The commands of the lab, as a person uses them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { glob, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { paths } from "../../lab/paths.ts";
import { until } from "../../lab/run.ts";
import { checkout, env, make, onVm, run } from "./lab.ts";

const lab = (...args: string[]) =>
	spawn(process.execPath, ["lab/main.ts", ...args], { cwd: checkout, stdio: ["ignore", "pipe", "pipe"] });

/** Waits until the child has printed `text`, and goes on reading, so that the child can go on printing. */
function printed(child: ReturnType<typeof lab>, text: string): Promise<void> {
	let seen = "";
	return new Promise((resolve, reject) => {
		child.stdout.on("data", (chunk) => {
			seen += chunk;
			if (seen.includes(text)) resolve();
		});
		child.once("exit", () => reject(new Error(`ended without printing "${text}":\n${seen}`)));
	});
}

describe("make lab", () => {
	it("takes under a minute when there is nothing to do, and builds nothing", async () => {
		const started = Date.now();
		const { exitCode, output } = await make("lab");
		expect(output).toContain("The lab is up");
		expect(output).not.toMatch(/: built/);
		expect(exitCode).toBe(0);
		expect(Date.now() - started).toBeLessThan(60_000);
	});

	it.each(["SIGKILL", "SIGINT"] as const)("goes on after %s", async (signal) => {
		const child = lab("up");
		await printed(child, "Registry VM");
		child.kill(signal);
		const [code, by] = await once(child, "exit");
		expect(by ?? code).toBe(signal === "SIGKILL" ? "SIGKILL" : 130);
		expect((await make("lab")).output).toContain("The lab is up");
	});

	it("goes on after all of it was killed in the middle of pulumi up, which leaves the stack locked", async () => {
		const child = spawn(process.execPath, ["lab/main.ts", "up"], { cwd: checkout, detached: true, stdio: "ignore" });
		const ended = once(child, "exit");
		const locks = () => Array.fromAsync(glob(join(paths.state, ".pulumi/locks/**/*.json")));
		await until("pulumi has locked the stack", 60, async () => (await locks()).length > 0);
		process.kill(-(child.pid as number), "SIGKILL");
		await ended;
		expect(await locks()).toHaveLength(1);
		const { exitCode, output } = await make("lab");
		expect(output).toContain("unlocked after a run that was killed");
		expect(exitCode).toBe(0);
	});

	it("leaves the lock of another machine alone, and says whose it is", async () => {
		const lock = join(paths.state, ".pulumi/locks/organization/homelab-registry/lab/elsewhere.json");
		const owner = { pid: 1, username: "somebody", hostname: "elsewhere", timestamp: "2026-01-01T00:00:00Z" };
		await mkdir(dirname(lock), { recursive: true });
		await writeFile(lock, JSON.stringify(owner));
		try {
			const { exitCode, output } = await make("lab");
			expect(exitCode).not.toBe(0);
			expect(output).toContain("somebody@elsewhere");
		} finally {
			await rm(lock);
		}
	});

	it("takes the plugins of LAB_PLUGINS, and goes back to its own without it", async () => {
		const folder = await mkdtemp(join(tmpdir(), "plugins-test-"));
		for (const name of ["command", "kubernetes", "vault"]) {
			const binary = `pulumi-resource-${name}`;
			await symlink(join(checkout, "lab/plugins", name, binary), join(folder, binary));
		}
		const { output } = await run("make", ["-s", "lab"], { cwd: checkout, env: { LAB_PLUGINS: folder } });
		expect(output).toContain("command 1.2.1 (LAB_PLUGINS), kubernetes 4.34.2 (LAB_PLUGINS), vault 7.8.0 (LAB_PLUGINS)");
		await rm(folder, { recursive: true });
		// These very tests may have been told to use others.
		const usual = process.env["LAB_PLUGINS"] ? /\(LAB_PLUGINS\)/ : /\((installed|stand-in)\)/;
		expect((await make("lab")).output).toMatch(usual);
	});

	it("refuses to run twice at a time, and says who is at work", async () => {
		const child = lab("up");
		await printed(child, "Tools");
		const { exitCode, output } = await make("lab");
		expect(output).toContain(`another make is at work on the lab (pid ${child.pid})`);
		expect(exitCode).not.toBe(0);
		const [code] = await once(child, "exit");
		expect(code).toBe(0);
	});

	it("makes a container anew that was killed or taken away", async () => {
		const docker = (...args: string[]) => run("docker", ["--host", env("LAB_DOCKER_HOST"), ...args]);
		await docker("kill", "homelab-lab-upstream-quay");
		await docker("rm", "--force", "homelab-lab-dns");
		expect((await make("lab")).exitCode).toBe(0);
		const { stdout } = await docker("ps", "--format", "{{.Names}}");
		expect(stdout.split("\n")).toEqual(expect.arrayContaining(["homelab-lab-dns", "homelab-lab-upstream-quay"]));
	});

	it("names the step, the command and the log when something fails", async () => {
		const { exitCode, output } = await run("make", ["-s", "lab"], {
			cwd: checkout,
			env: { LAB_PLUGINS: "/nonexistent" },
		});
		expect(output).toMatch(/LAB_PLUGINS=\/nonexistent has no executable pulumi-resource-(command|kubernetes|vault)/);
		expect(exitCode).not.toBe(0);
	});
});

describe("make lab-status", () => {
	it("has a line for each part, with its state and where it is", async () => {
		const { stdout } = await make("lab-status");
		expect(stdout).toMatch(/^registry VM +running +ssh -F /m);
		expect(stdout).toMatch(/^cache quay +answers 200 +http:\/\/127\.0\.0\.1:25020$/m);
		expect(stdout).toMatch(/^private registry +answers 401 /m);
		expect(stdout).not.toMatch(/silent|absent/);
	});

	it("does not call running what is not", async () => {
		await onVm("docker stop registry-quay");
		const { stdout } = await make("lab-status");
		await onVm("docker start registry-quay");
		expect(stdout).toMatch(/^cache quay +(silent|answers 50\d)/m);
	});
});

describe("make lab-env", () => {
	it("prints nothing but exports that a shell takes", async () => {
		const { stdout } = await make("lab-env");
		const names = stdout.split("\n").map((line) => /^export (\w+)='/.exec(line)?.[1]);
		expect(names).toEqual([
			...["LAB_REGISTRY", "LAB_REGISTRY_CA", "LAB_REGISTRY_USER", "LAB_REGISTRY_PASSWORD", "LAB_SSH_CONFIG"],
			...["KUBECONFIG", "LAB_DOCKER_HOST", "LAB_WOODPECKER", "LAB_WOODPECKER_TOKEN"],
			...[
				"VAULT_ADDR",
				"VAULT_CACERT",
				"VAULT_TOKEN",
				"WOODPECKER_TOKEN",
				"PULUMI_HOME",
				"PULUMI_BACKEND_URL",
				"PULUMI_CONFIG_PASSPHRASE",
			],
			...["PULUMI_SKIP_UPDATE_CHECK", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "PATH"],
		]);
		const script =
			'eval "$(make -s lab-env)"; ssh -F "$LAB_SSH_CONFIG" registry hostname; pulumi stack ls --json; crane version; regctl version';
		const { exitCode, output } = await run("bash", ["-c", script], {
			cwd: checkout,
			extendEnv: false,
			env: { PATH: "/usr/local/go/bin:/usr/bin:/bin", HOME: process.env["HOME"] },
		});
		expect(output).toContain("docker-registry");
		expect(output).toContain('"name": "lab"');
		expect(exitCode).toBe(0);
	});
});

describe("npm run render", () => {
	it("works with the machine's own node, however old, and from the lab's stack, too", async () => {
		const environment = { extendEnv: false, cwd: checkout, env: { PATH: "/usr/bin:/bin", HOME: process.env["HOME"] } };
		for (const stack of ["prod", "lab"]) {
			const { exitCode, output } = await run(
				"npm",
				["run", "--silent", "render", "--", stack, "/tmp/render-test"],
				environment,
			);
			expect(output).toMatch(/^\d\d files of docker-registry, pve, kubernetes are in \/tmp\/render-test$/m);
			expect(exitCode).toBe(0);
		}
	});
});

describe("Pulumi.lab.yaml", () => {
	it("is written anew when somebody changed it, and has no secret in clear text", async () => {
		const file = join(checkout, "Pulumi.lab.yaml");
		await writeFile(file, (await readFile(file, "utf8")).replace("uiPort: 8080", "uiPort: 8081"));
		await make("lab");
		const text = await readFile(file, "utf8");
		expect(text).toMatch(/uiPort: 8080/);
		expect(text).not.toContain(env("LAB_REGISTRY_PASSWORD"));
		expect(text).not.toContain("PRIVATE KEY");
		expect(await readFile(join(paths.keys, "login"), "utf8")).toContain("PRIVATE KEY");
	});
});
