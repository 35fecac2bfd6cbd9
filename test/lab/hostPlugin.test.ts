/** The plugin `host` by itself: its schema, an SDK made from that, and a program that knows nothing of registries. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type Machine, startMachine } from "../host/sshd/machine.ts";
import { checkout, type Outcome, pulumi, run } from "./lab.ts";

const PLUGIN = join(checkout, "host/bin/pulumi-resource-host");
const PROGRAM = `import * as pulumi from "@pulumi/pulumi";
import { FileSet } from "./sdk";

const config = new pulumi.Config();
const file = { mode: "0640", owner: "root:root", notify: ["web"], effect: "the web server is restarted" };
const content = { motd: "hello\\n", token: config.requireSecret("token") };
const files = Object.entries(content).map(([name, content]) => [\`/srv/web/\${name}\`, { ...file, content }]);
const connection = config.requireSecretObject<any>("connection");
export const { revisions } = new FileSet("web", { name: "web", connection, files: Object.fromEntries(files) });
`;

let folder: string;
let machine: Machine;
beforeAll(async () => {
	machine = await startMachine();
	folder = await mkdtemp(join(tmpdir(), "host-plugin-test-"));
});
afterAll(async () => {
	await machine[Symbol.asyncDispose]();
	await rm(folder, { recursive: true });
});

async function schema(): Promise<Outcome> {
	const outcome = await pulumi(["package", "get-schema", PLUGIN]);
	expect(outcome.exitCode, outcome.output).toBe(0);
	return outcome;
}

describe("pulumi package get-schema", () => {
	it("shows types, descriptions, secrets and outputs", async () => {
		const { resources, types } = JSON.parse((await schema()).stdout);
		const { inputProperties, requiredInputs, properties, required } = resources["host:index:FileSet"];
		expect(Object.keys(inputProperties).sort()).toEqual(
			["beforeActivation", "checks", "conditions", "connection", "files", "lines", "name", "preconditions"].sort(),
		);
		expect([...requiredInputs].sort()).toEqual(["connection", "name"]);
		expect(Object.keys(properties)).toEqual(
			expect.arrayContaining(["revisions", "owed", "interrupted", "unreachable"]),
		);
		expect(required).toContain("revisions");
		for (const property of [...Object.values(properties), ...Object.values(types)])
			expect(property).toMatchObject({ description: expect.stringMatching(/\.$/) });
		expect(types["host:index:Connection"].properties.privateKey.secret).toBe(true);
		expect(types["host:index:File"].properties.mode.type).toBe("string");
	});
});

describe("a program in another folder, with an SDK made from the schema,", () => {
	const environment = () => ({ PULUMI_BACKEND_URL: `file://${join(folder, "state")}` });
	const stack = (...args: string[]) => pulumi([...args, "--stack", "dev"], folder, environment());

	beforeAll(async () => {
		const { exitCode, output } = await run("gen-sdk", [join(folder, "sdk")], { input: (await schema()).stdout });
		expect(exitCode, output).toBe(0);
		await mkdir(join(folder, "state"));
		await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
		await writeFile(join(folder, "index.ts"), PROGRAM);
		// As tsc does it: the SDK loads its parts by a way that only that compiles right.
		const sources = (await readdir(join(folder, "sdk"), { recursive: true })).filter((name) => name.endsWith(".ts"));
		for (const source of ["index.ts", ...sources.map((name) => join("sdk", name))]) {
			const text = await readFile(join(folder, source), "utf8");
			const { outputText } = ts.transpileModule(text, {
				compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
			});
			await writeFile(join(folder, source.replace(/ts$/, "js")), outputText);
		}
		await writeFile(join(folder, "package.json"), "{}");
		const project = { name: "other", runtime: { name: "nodejs", options: { typescript: false } }, main: "index.js" };
		const plugins = { providers: [{ name: "host", path: join(checkout, "host/bin") }] };
		await writeFile(join(folder, "Pulumi.yaml"), stringify({ ...project, plugins }));
		await pulumi(["stack", "init", "dev"], folder, environment());
		for (const [key, value] of Object.entries({
			token: "a-secret-token",
			connection: JSON.stringify(machine.connection),
		}))
			expect(
				(
					await run("pulumi", ["config", "set", "--secret", key, "--stack", "dev"], {
						cwd: folder,
						input: value,
						env: environment(),
					})
				).exitCode,
			).toBe(0);
	});

	it("manages two files of a bare machine, in ten lines", async () => {
		expect(PROGRAM.trim().split("\n").filter(Boolean).length).toBeLessThanOrEqual(10);
		const { exitCode, output } = await stack("up", "--yes", "--skip-preview");
		expect(exitCode, output).toBe(0);
		expect(await machine.run("cat /srv/web/motd /srv/web/token; stat -c %a /srv/web/*")).toBe(
			"hello\na-secret-token640\n640",
		);
		const { stdout } = await stack("stack", "output", "--json");
		expect(JSON.parse(stdout)).toEqual({ revisions: { web: expect.stringMatching(/^\d{8}T/) } });
		expect((await stack("stack", "export")).output).not.toContain("a-secret-token");
	});

	it("sees a hand edit line by line, and what it owes, and puts it right", async () => {
		await machine.run(
			"sh /var/lib/pulumi-host/fileset.sh settle web $(sh /var/lib/pulumi-host/fileset.sh revisions web)",
		);
		await stack("up", "--yes", "--skip-preview", "--refresh");
		const clean = await stack("preview", "--refresh", "--diff", "--expect-no-changes");
		expect(clean.exitCode, clean.output).toBe(0);
		await machine.run("echo bye >/srv/web/motd");
		const seen = await stack("preview", "--refresh", "--diff", "--expect-no-changes");
		expect(seen.exitCode).not.toBe(0);
		expect(seen.output).toMatch(/bye/);
		expect(seen.output).toContain("/srv/web/motd differs: the web server is restarted");
		expect((await stack("up", "--yes", "--refresh", "--skip-preview")).exitCode).toBe(0);
		expect(await machine.run("cat /srv/web/motd")).toBe("hello");
	});

	it("takes its files away when it is destroyed, and leaves nothing of its own but its script", async () => {
		const { exitCode, output } = await stack("destroy", "--yes", "--skip-preview");
		expect(exitCode, output).toBe(0);
		expect(await machine.run("ls -A /srv/web /var/lib/pulumi-host")).toBe(
			"/srv/web:\n\n/var/lib/pulumi-host:\nfileset.sh",
		);
	});
});
