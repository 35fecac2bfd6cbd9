/**
 * What the program relies on in the published `command` plugin, by its documentation. The same suite
 * has to pass with the published plugin (LAB_PLUGINS) and with the lab's stand-in.
 */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { registryVm } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { checkout, onVm, pulumi } from "./lab.ts";

const LOG = "/srv/command-test/log";
let folder: string;
let environment: Record<string, string>;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "command-test-"));
	await mkdir(join(folder, "state"));
	await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
	await writeFile(
		join(folder, "Pulumi.yaml"),
		"name: command-test\nruntime:\n  name: nodejs\n  options: { typescript: false }\n",
	);
	await writeFile(join(folder, "package.json"), '{ "type": "module", "main": "index.js" }');
	await writeFile(
		join(folder, "index.js"),
		`import { readFileSync } from "node:fs";
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
const { args, secretStdin, connection, absent } = JSON.parse(readFileSync("args.json", "utf8"));
export let stdout, stderr;
if (!absent) {
	const stdin = secretStdin === undefined ? {} : { stdin: pulumi.secret(secretStdin) };
	const command = new remote.Command("it", { ...args, ...stdin, connection });
	({ stdout, stderr } = command);
}
`,
	);
	environment = { PULUMI_BACKEND_URL: `file://${join(folder, "state")}` };
	await pulumi(["stack", "init", "test"], folder, environment);
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
	await pulumi(["state", "delete", "--all", "--yes", "--force", "--stack", "test"], folder, environment);
	await onVm("rm -rf /srv/command-test");
});

interface Declared {
	args?: object;
	secretStdin?: string;
	connection?: object;
	absent?: true;
}

async function up(declared: Declared) {
	const text = (name: string) => readFile(join(paths.keys, name), "utf8");
	const connection = {
		host: "127.0.0.1",
		port: registryVm.sshPort,
		user: "root",
		privateKey: await text("login"),
		hostKey: (await text("host.pub")).trim().split(" ").slice(0, 2).join(" "),
		...declared.connection,
	};
	await writeFile(join(folder, "args.json"), JSON.stringify({ ...declared, connection }));
	return pulumi(["up", "--yes", "--skip-preview", "--stack", "test"], folder, environment);
}

const logged = () => onVm(`cat ${LOG} 2>/dev/null || true`);
const log = (word: string) => `mkdir -p /srv/command-test; echo ${word} >>${LOG}`;
const outputs = async () =>
	JSON.parse((await pulumi(["stack", "output", "--json", "--stack", "test"], folder, environment)).stdout);
const state = async () => (await pulumi(["stack", "export", "--stack", "test"], folder, environment)).stdout;

describe("remote.Command", () => {
	it("runs create once, and has what it printed as outputs", async () => {
		const args = { create: `${log("created")}; echo out; echo err >&2` };
		expect((await up({ args })).exitCode).toBe(0);
		expect(await outputs()).toEqual({ stdout: "out", stderr: "err" });
		expect((await up({ args })).output).toContain("unchanged");
		expect(await logged()).toBe("created");
	});

	it("is replaced when a trigger changes: create runs, then the old delete", async () => {
		await up({ args: { create: log("created"), delete: log("deleted"), triggers: ["1", "a"] } });
		const { output, exitCode } = await up({
			args: { create: log("created"), delete: log("deleted"), triggers: ["2", "a"] },
		});
		expect(exitCode).toBe(0);
		expect(output).toContain("1 replaced");
		expect(await logged()).toBe("created\ncreated\ndeleted");
	});

	it("runs create again as an update when create changed and there is no update", async () => {
		await up({ args: { create: log("one") } });
		const { output } = await up({ args: { create: log("two") } });
		expect(output).toContain("1 updated");
		expect(await logged()).toBe("one\ntwo");
	});

	it("runs update instead where there is one", async () => {
		await up({ args: { create: log("one"), update: log("updated") } });
		await up({ args: { create: log("two"), update: log("updated") } });
		expect(await logged()).toBe("one\nupdated");
	});

	it("runs delete when it goes, and nothing where there is only delete", async () => {
		await up({ args: { delete: log("deleted") } });
		expect(await logged()).toBe("");
		await up({ absent: true });
		expect(await logged()).toBe("deleted");
	});

	it("hands over stdin, and keeps it and the connection out of the state where they are secret", async () => {
		const secretStdin = "stdin-material-7351";
		const { output } = await up({ args: { create: `mkdir -p /srv/command-test; cat >${LOG}` }, secretStdin });
		expect(await logged()).toBe(secretStdin);
		const kept = await state();
		expect(kept).toContain("command:remote:Command");
		expect(kept + output).not.toContain(secretStdin);
		expect(kept + output).not.toContain("PRIVATE KEY");
	});

	it("fails with the command's status and words, and is run again by the next up", async () => {
		const { exitCode, output } = await up({ args: { create: `${log("tried")}; echo broken pipe organ >&2; exit 3` } });
		expect(exitCode).not.toBe(0);
		expect(output).toContain("Process exited with status 3");
		expect(output).toContain("broken pipe organ");
		await up({ args: { create: `${log("tried")}; exit 3` } });
		expect(await logged()).toBe("tried\ntried");
	});

	it("keeps the old one when its replacement fails", async () => {
		await up({ args: { create: log("good"), triggers: ["1"] } });
		expect((await up({ args: { create: "false", triggers: ["2"] } })).exitCode).not.toBe(0);
		const { output } = await up({ args: { create: log("good"), triggers: ["1"] } });
		expect(output).toContain("unchanged");
		expect(await logged()).toBe("good");
	});

	it("refuses a host that shows another key than the pinned one", async () => {
		const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl7nqVg5cDjSM2M0dmwFw0QvJ8hyjzv0yYbbyDGnPsj";
		const { exitCode, output } = await up({
			args: { create: log("created") },
			connection: { hostKey, dialErrorLimit: 1 },
		});
		expect(exitCode).not.toBe(0);
		expect(output).toContain("host key mismatch");
		expect(await logged()).toBe("");
	});

	it("gives up on a host that does not answer, after dialErrorLimit tries", async () => {
		const { exitCode, output } = await up({
			args: { create: log("created") },
			connection: { port: 1, dialErrorLimit: 2 },
		});
		expect(exitCode).not.toBe(0);
		expect(output).toContain("after 2 failed attempts");
	});

	it("takes an RSA host key by no name that hosts still speak", async () => {
		const hostKey = await onVm("ssh-keygen -q -t rsa -N '' -f /run/rsa && cat /run/rsa.pub; rm /run/rsa /run/rsa.pub");
		const { exitCode, output } = await up({
			args: { create: log("created") },
			connection: { hostKey: hostKey.split(" ").slice(0, 2).join(" "), dialErrorLimit: 1 },
		});
		expect(exitCode).not.toBe(0);
		expect(output).toContain("no common algorithm for host key");
		expect(await logged()).toBe("");
	});

	it("gives up where SSH_AUTH_SOCK names an agent that is gone, although it has a key", async () => {
		environment = { ...environment, SSH_AUTH_SOCK: "/run/no-such-agent" };
		try {
			const { exitCode, output } = await up({ args: { create: log("created") }, connection: { dialErrorLimit: 1 } });
			expect(exitCode).not.toBe(0);
			expect(output).toMatch(/dial unix \/run\/no-such-agent/);
		} finally {
			const { SSH_AUTH_SOCK: _, ...rest } = environment;
			environment = rest;
		}
	});
});
