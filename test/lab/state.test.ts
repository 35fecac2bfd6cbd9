/** The state in a bucket and in a database: locks, a run that is killed, a server that goes away; and Vault's key for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { until } from "../../lab/run.ts";
import { lockOwner } from "../../scripts/stackLock.ts";
import { checkout, type Outcome, pulumi, run, succeeds } from "./lab.ts";
import { type StateServer, stateServers } from "./stateServers.ts";

/** Says that it runs, and ends when it may. */
const PROGRAM = `
const { existsSync, writeFileSync } = require("node:fs");
const pulumi = require("@pulumi/pulumi");
module.exports = async () => {
	writeFileSync("running", "");
	while (!existsSync("may-end")) await new Promise((resolve) => setTimeout(resolve, 50));
	new pulumi.ComponentResource("test:index:Thing", "thing");
	return { token: new pulumi.Config().requireSecret("token") };
};
`;

const SECRET = "a-secret-token";

/** A project with one stack, whose updates hold the lock until they may end. */
interface Project extends AsyncDisposable {
	stack(...args: string[]): Promise<Outcome>;
	mayEnd(): Promise<void>;
	/** Starts an update, and resolves when it has the lock. */
	begin(): Promise<{ child: ChildProcess; ended: Promise<number | null> }>;
}

/** Updated once. */
async function project({ env }: StateServer): Promise<Project> {
	const folder = await mkdtemp(join(tmpdir(), "state-test-"));
	const file = (name: string) => join(folder, name);
	await writeFile(file("index.js"), PROGRAM);
	await writeFile(file("package.json"), "{}");
	await symlink(join(checkout, "node_modules"), file("node_modules"));
	const runtime = { name: "nodejs", options: { typescript: false } };
	await writeFile(file("Pulumi.yaml"), stringify({ name: "state-test", runtime, main: "index.js" }));
	const name = basename(folder);
	const stack = (...args: string[]) => pulumi([...args, "--stack", name], folder, env);
	const mayEnd = () => writeFile(file("may-end"), "");
	await mayEnd();
	for (const args of [
		["stack", "init"],
		["config", "set", "--secret", "token", SECRET],
		["up", "--yes", "--skip-preview"],
	])
		await succeeds(stack(...args));
	return {
		stack,
		mayEnd,
		async begin() {
			for (const name of ["may-end", "running"]) await rm(file(name), { force: true });
			const args = ["up", "--yes", "--skip-preview", "--non-interactive", "--stack", name];
			const child = spawn("pulumi", args, { cwd: folder, env: { ...process.env, ...env }, stdio: "ignore" });
			const ended = once(child, "close").then(([code]) => code as number | null);
			await until("the update runs", 60, () =>
				access(file("running")).then(
					() => true,
					() => false,
				),
			);
			return { child, ended };
		},
		[Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
	};
}

// At once, each with a stack of its own: most of it is waiting.
describe.concurrent.each(stateServers)("a state in $name", ({ open }) => {
	let server: StateServer;
	beforeAll(async () => {
		server = await open();
		// As by `pulumi login`: whoever comes first makes the table in a database, and two at once collide.
		await succeeds(pulumi(["whoami"], checkout, server.env));
	}, 900_000); // Its program may have to be built first.
	afterAll(() => server[Symbol.asyncDispose]());

	it("has its secrets encrypted", async () => {
		await using made = await project(server);
		const { output } = await succeeds(made.stack("stack", "export"));
		expect(output).toContain("ciphertext");
		expect(output).not.toContain(SECRET);
		expect((await made.stack("stack", "output", "token", "--show-secrets")).stdout).toBe(SECRET);
	});

	it("is updated by one run at a time, and the second is told whose the first is", async () => {
		await using made = await project(server);
		const { child, ended } = await made.begin();
		const second = await made.stack("up", "--yes", "--skip-preview");
		expect(second.exitCode).not.toBe(0);
		const owner = { host: hostname(), pid: child.pid, since: expect.any(Date), said: expect.anything() };
		expect(lockOwner(second.output)).toEqual(owner);
		await made.mayEnd();
		expect(await ended).toBe(0);
		await succeeds(made.stack("up", "--yes", "--skip-preview"));
	});

	it("is locked by a run that was killed until that lock is taken away, and is as it was before that run", async () => {
		await using made = await project(server);
		const { child, ended } = await made.begin();
		child.kill("SIGKILL");
		await ended;
		await made.mayEnd();
		const locked = await made.stack("up", "--yes", "--skip-preview");
		expect(locked.exitCode).not.toBe(0);
		expect(lockOwner(locked.output)?.pid).toBe(child.pid);
		await succeeds(made.stack("cancel", "--yes"));
		expect((await made.stack("stack", "output", "token", "--show-secrets")).stdout).toBe(SECRET);
		await succeeds(made.stack("up", "--yes", "--skip-preview"));
	});

	// https://github.com/pulumi/pulumi/issues/4679: a state that was gone after the connection had been lost.
	it("outlives a server that goes away in the middle of an update, which fails", async () => {
		await using own = await open();
		await using made = await project(own);
		const { ended } = await made.begin();
		await own.stop();
		await made.mayEnd();
		expect(await ended).not.toBe(0);
		await own.start();
		await made.stack("cancel", "--yes");
		expect((await made.stack("stack", "output", "token", "--show-secrets")).stdout).toBe(SECRET);
		await succeeds(made.stack("up", "--yes", "--skip-preview"));
	}, 300_000); // Pulumi tries for long.
});

describe.concurrent("Vault's transit engine", () => {
	it("encrypts a stack's secrets instead of a passphrase, where the stack is made with it", async () => {
		const folder = await mkdtemp(join(tmpdir(), "state-transit-"));
		try {
			await mkdir(join(folder, "state"));
			await writeFile(join(folder, "Pulumi.yaml"), JSON.stringify({ name: "transit-test", runtime: "nodejs" }));
			await run("vault", ["secrets", "enable", "transit"]);
			const key = await run("vault", ["write", "-f", "transit/keys/pulumi"]);
			expect(key.exitCode, key.output).toBe(0);
			const { VAULT_ADDR = "", VAULT_TOKEN = "" } = process.env;
			const env = {
				PULUMI_BACKEND_URL: `file://${join(folder, "state")}`,
				VAULT_SERVER_URL: VAULT_ADDR,
				VAULT_SERVER_TOKEN: VAULT_TOKEN,
				PULUMI_CONFIG_PASSPHRASE: "",
			};
			const made = await pulumi(["stack", "init", "dev", "--secrets-provider", "hashivault://pulumi"], folder, env);
			expect(made.exitCode, made.output).toBe(0);
			const set = ["config", "set", "--secret", "token", SECRET, "--stack", "dev"];
			expect((await pulumi(set, folder, env)).exitCode).toBe(0);
			const get = ["config", "get", "token", "--stack", "dev"];
			expect((await pulumi(get, folder, env)).stdout).toBe(SECRET);
			const stranger = await pulumi(get, folder, { ...env, VAULT_SERVER_TOKEN: "nobody" });
			expect(stranger.exitCode).not.toBe(0);
			expect(stranger.output).not.toContain(SECRET);
		} finally {
			await run("vault", ["secrets", "disable", "transit"]);
			await rm(folder, { recursive: true });
		}
	});
});
