/** No secret is ever in clear text but in the files that are there to hold it. */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { remember } from "../../components/driftDetection/memory.ts";
import type { StackReport } from "../../components/driftDetection/report.ts";
import { inSlack } from "../../components/driftDetection/words.ts";
import { STACK } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { begin, env, leave, type Outcome, onVm, pulumi, run, up, type Variant, variant } from "./lab.ts";

/** Some of each secret that is nowhere by chance. The Docker Hub password is changed by the test, from one to the other. */
const newPassword = `dockerhub-new-${randomBytes(12).toString("hex")}`;
let secrets: Record<string, string>;
let changed: Variant;
const started = Date.now();
const outputs: Outcome[] = [];
/** The command lines that were seen while the update ran, here and on the VM. */
let processes = "";

beforeAll(async () => {
	await begin();
	const key = async (name: string) => (await readFile(join(paths.keys, name), "utf8")).split("\n");
	secrets = {
		"the SSH key": (await key("login"))[2] as string,
		"the Proxmox host's SSH key": (await key("proxmox-login"))[2] as string,
		"the TLS key": (await key("registry.key"))[1] as string,
		"the registry's password": (await key("registry-password"))[0] as string,
		"Docker Hub's password": (await key("dockerhub-password"))[0] as string,
		"Docker Hub's new password": newPassword,
		"the registry's password as Kubernetes has it": Buffer.from((await key("registry-password"))[0] as string).toString(
			"base64",
		),
		"the cluster's token": (await key("kubernetes-token"))[0] as string,
		"Vault's token": (await key("vault-root-token"))[0] as string,
		"Woodpecker's token": (await key("woodpecker-api-token"))[0] as string,
	};
	for (const secret of Object.values(secrets)) expect(secret.length).toBeGreaterThan(15);

	changed = await variant();
	await run("pulumi", ["config", "set", "--stack", STACK, "--secret", "dockerhubPassword"], {
		cwd: changed.folder,
		input: newPassword,
	});
	await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # secrets");
	const all = ["--stack", STACK];
	outputs.push(await pulumi(["preview", "--diff", ...all], changed.folder));
	outputs.push(await pulumi(["preview", "--json", ...all], changed.folder));
	const watched = watchProcesses();
	outputs.push(await pulumi(["up", "--yes", "--diff", ...all], changed.folder));
	processes = watched();
	expect(outputs.at(-1)?.exitCode).toBe(0);
	// A hand edit in a file that holds a secret is drift that has to be shown without it.
	await onVm("sed -i s/-new-/-gnu-/ /opt/registry/config-dockerhub.yml");
	outputs.push(await pulumi(["preview", "--diff", ...all], changed.folder));
	expect(outputs.at(-1)?.output).toContain("config-dockerhub.yml");
	const [asJson, asMarkdown] = [await driftRun("--json"), await driftRun("--markdown")];
	for (const { output } of [asJson, asMarkdown]) expect(output).toContain("config-dockerhub.yml");
	outputs.push(asJson, asMarkdown, slackMessage(asJson), await probeLog());
	outputs.push(await pulumi(["stack", "export", ...all]), await pulumi(["stack", "--show-urns", ...all]));
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await leave();
});

const driftRun = (format: string) =>
	run("node", ["scripts/drift.ts", "--no-report", format, STACK], { cwd: changed.folder });

/** What Slack would be told of what that run found. */
function slackMessage(found: Outcome): Outcome {
	const [report] = (JSON.parse(found.stdout) as { stacks: StackReport[] }).stacks as [StackReport];
	const memory = remember(undefined, report, 0);
	const output = inSlack([{ report, memory }], { now: 0, runbook: "docs/runbooks/drift.md" });
	expect(output).toContain("config-dockerhub.yml");
	return { ...found, output };
}

/** What a run of the probe prints. */
async function probeLog(): Promise<Outcome> {
	const kubectl = (...args: string[]) => run("kubectl", ["--namespace", "monitoring", ...args]);
	await kubectl("create", "job", "secrets-test", "--from", "cronjob/registry-integrity-probe");
	await kubectl("wait", "--for", "condition=complete", "--timeout", "120s", "job/secrets-test");
	const log = await kubectl("logs", "job/secrets-test");
	await kubectl("delete", "job", "secrets-test");
	expect(log.output).toContain("repositories");
	return log;
}

/** Looks at every process, again and again, until it is stopped. The VM's processes are seen from here, too. */
function watchProcesses() {
	const seen = new Set<string>();
	// Not their environments: Pulumi itself hands the program its config that way.
	const look = setInterval(() => {
		for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
			try {
				seen.add(readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " "));
			} catch {
				// It has ended meanwhile.
			}
	}, 30);
	return () => {
		clearInterval(look);
		return [...seen].join("\n");
	};
}

/** The files below the folders that were written since then, in milliseconds, and have a secret in them. */
async function filesWithSecrets(folders: string[], since: number): Promise<string[]> {
	const { stdout } = await run("find", [...folders, "-type", "f", "-newermt", `@${Math.floor(since / 1000)}`]);
	const found: string[] = [];
	for (const file of stdout.split("\n").filter(Boolean)) {
		const content = await readFile(file, "latin1").catch((error: NodeJS.ErrnoException) => {
			if (error.code !== "ENOENT") throw error;
			return ""; // What is gone by now holds nothing.
		});
		for (const name of holders(content)) found.push(`${file}: ${name}`);
	}
	return found;
}

const holders = (text: string) => Object.keys(secrets).filter((name) => text.includes(secrets[name] as string));

describe("in clear text, there is no secret in", () => {
	it("what preview, up, drift and export print", () => {
		expect(outputs.map(({ output }) => output).join().length).toBeGreaterThan(1000);
		expect(outputs.flatMap(({ output }) => holders(output))).toEqual([]);
	});

	it("the state, its backups and its history, Pulumi's home and logs", async () => {
		expect(await filesWithSecrets([paths.state, paths.pulumiHome, paths.logs], 0)).toEqual([]);
	});

	it("the command line of any process, here or on the VM", () => {
		for (const seen of ["bounce.sh", "host/bin/../main.ts"]) expect(processes.includes(seen), seen).toBe(true);
		expect(holders(processes)).toEqual([]);
	});

	it("a temporary file or a log, here or on the VM, once the update is over", async () => {
		const input = Object.values(secrets).join("\n");
		const onMachine = (command: string) =>
			run("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", `cat >/root/patterns; ${command}; rm /root/patterns`], {
				input,
			});
		const places = {
			"on the VM": await onMachine("grep -rslF -D skip -f /root/patterns /tmp /var/tmp /run /var/log /dev/shm"),
			"in its journal": await onMachine("journalctl --no-pager | grep -F -f /root/patterns"),
			"in its containers' logs": await onMachine(
				"for c in $(docker ps -aq); do docker logs $c 2>&1; done | grep -F -f /root/patterns",
			),
		};
		for (const [place, { stdout }] of Object.entries(places)) expect(stdout, place).toBe("");
		const temporary = ["/tmp", "/var/tmp", "/dev/shm"];
		expect(await filesWithSecrets(temporary, started)).toEqual([]);
		// That these looks do see what is there to see:
		const [secret] = Object.values(secrets) as [string];
		const planted = join(changed.folder, "planted");
		await writeFile(planted, `a ${secret} b`);
		expect(await filesWithSecrets(temporary, started)).toEqual([`${planted}: the SSH key`]);
		await rm(planted);
		await onVm(`echo 'a ${secret} b' >/tmp/planted`);
		expect((await onMachine("grep -rslF -D skip -f /root/patterns /tmp; rm /tmp/planted")).stdout).toBe("/tmp/planted");
	});

	it("a file on the VM that others than root can read, what is kept for a rollback included", async () => {
		const { stdout } = await run(
			"ssh",
			[
				"-F",
				env("LAB_SSH_CONFIG"),
				"registry",
				"grep -rlF -D skip -f - /opt/registry /var/lib/pulumi-host /etc | xargs stat -c '%a %U %n'",
			],
			{
				input: Object.values(secrets).join("\n"),
			},
		);
		const lines = stdout.split("\n");
		expect(lines.filter((line) => !line.startsWith("600 root "))).toEqual([]);
		expect(stdout).toContain("/opt/registry/config-dockerhub.yml");
		expect(stdout).toContain("/opt/registry/tls/privkey.pem");
	});
});

describe("while files are put in place", () => {
	it("whatever holds a secret has mode 0600 from its first byte", async () => {
		const watch = `end=$(($(date +%s) + 20)); while [ $(date +%s) -lt $end ] && [ ! -e /run/seen-enough ]; do
	find /opt/registry /run/pulumi-host.* -maxdepth 3 -type f -newer /root/before -printf '%m %p\\n' 2>/dev/null
done | sort -u; rm -f /run/seen-enough`;
		await onVm("touch /root/before; rm -f /run/seen-enough");
		const looking = onVm(watch);
		await onVm("rm /opt/registry/config-dockerhub.yml /opt/registry/tls/privkey.pem");
		await up();
		await onVm("touch /run/seen-enough");
		const seen = (await looking).split("\n").filter((line) => /config-dockerhub|privkey|pulumi-host/.test(line));
		expect(seen.length).toBeGreaterThan(0);
		expect(seen.filter((line) => !line.startsWith("600 "))).toEqual([]);
	});
});
