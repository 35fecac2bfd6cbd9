/** Machines of the lab in any number, whose resolver is managed, in a stack of their own. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyProgram } from "../lab/copyProgram.ts";
import { findEngine } from "../lab/engine.ts";
import { dns, NET, proxmox, publicDns, STACK } from "../lab/estate.ts";
import { freePort } from "../lab/freePort.ts";
import { type Keys, readKeys } from "../lab/keys.ts";
import { startMachine } from "../lab/machines.ts";
import { Step } from "../lab/run.ts";
import { labEnvironment } from "../lab/status.ts";
import { rendered } from "../scripts/rendering.ts";
import { writePlaybook } from "./ansible.ts";
import { compare, type Measured } from "./compare.ts";
import { processor } from "./processes.ts";
import { writeConfig } from "./program.ts";

/** How many start at once: what two cores can do. */
const AT_ONCE = 4;
/** The kernel's inotify instances that a machine with systemd takes. */
const INOTIFY = 8;
/** Of the first one on the lab's network; nobody of the lab is behind it. */
const FIRST_ADDRESS = 40;

/**
 * For each of the counts: that many hosts are brought up once, and then looked at in turn with Ansible. The machines are
 * gone afterwards. Throws where the lab is not up.
 */
export async function compareHosts(counts: number[], rounds: number, folder: string): Promise<Measured[][]> {
	const step = new Step("bench");
	const engine = await findEngine(step);
	const env = await labEnvironment();
	if (engine === undefined) throw new Error("the lab is not up; run make lab");
	const most = Math.max(...counts);
	const limit = Number(readFileSync("/proc/sys/fs/inotify/max_user_instances", "utf8"));
	if (limit < (most + 10) * INOTIFY)
		throw new Error(
			`${most} machines need more inotify instances than this kernel gives: sysctl fs.inotify.max_user_instances=${(most + 10) * INOTIFY}`,
		);
	const keys = await readKeys();
	const image = await engine.docker(step, ["inspect", "--format", "{{.Config.Image}}", proxmox.container]);
	const files = (await rendered(STACK)).hosts[proxmox.hostname] ?? {};
	const ports: number[] = [];
	const container = (i: number) => `homelab-bench-${i}`;
	try {
		const results: Measured[][] = [];
		for (const count of counts) {
			while (ports.length < count) {
				const next = Array.from({ length: Math.min(AT_ONCE, count - ports.length) }, (_, i) => ports.length + i);
				for (const _ of next) ports.push(await freePort());
				const starts = next.map((i) => {
					const place = { hostname: `host-${i}`, address: `${NET}.${FIRST_ADDRESS + i}` };
					const machine = { container: container(i), ...place, ports: { 22: ports[i] as number } };
					return startMachine(engine, step, { ...machine, login: keys.proxmoxLogin.public }, image, keys, ["ssh"]);
				});
				await Promise.all(starts);
				console.error(`${ports.length} of ${count} machines run`);
			}
			const at = join(folder, String(count));
			mkdirSync(at);
			const { pulumi, seconds } = await bringUp(at, ports.slice(0, count), keys, env);
			const sshConfig = writeSshConfig(at, ports.slice(0, count), keys.proxmoxLogin.privatePath);
			const hosts = ports.slice(0, count).map((_, i) => `host-${i}`);
			const { command, env: theirs } = writePlaybook(at, sshConfig, [{ hosts, files }]);
			const ansible = { name: "ansible-playbook --check --diff", command: command("--check --diff"), env: theirs };
			const inspected = await engine.docker(step, [
				"inspect",
				"--format",
				"{{.State.Pid}}",
				...ports.map((_, i) => container(i)),
			]);
			const pids = inspected.split("\n").map(Number);
			const meter = { requests: () => 0, processor: () => pids.reduce((all, pid) => all + processor(pid), 0) };
			const ways = [pulumi, ansible].map((way) => ({ ...way, meter }));
			const rows = await compare(ways, rounds);
			results.push([...rows, { name: "pulumi up, the first", seconds: [seconds], requests: 0, server: 0, memory: 0 }]);
		}
		return results;
	} finally {
		if (ports.length > 0)
			await engine.docker(step, ["rm", "--force", "--volumes", ...ports.map((_, i) => container(i))]);
	}
}

/** Brings these hosts up; how to look at them, and how long it took. */
async function bringUp(folder: string, ports: number[], keys: Keys, labEnv: Record<string, string>) {
	const program = join(folder, "program");
	await copyProgram(program);
	const env = { ...process.env, ...labEnv, PULUMI_BACKEND_URL: `file://${folder}` };
	const stack = ["--stack", "hosts", "--non-interactive"];
	const pulumi = (...args: string[]) => {
		const { status, stdout, stderr } = spawnSync("pulumi", [...args, ...stack], {
			cwd: program,
			env,
			encoding: "utf8",
		});
		if (status !== 0) throw new Error(`pulumi ${args[0]} ended with ${status}:\n${stdout}${stderr}`);
	};
	const role = { primary: dns.address, fallback: publicDns.address, search: "viktorbarzin.lan", revertSeconds: 60 };
	const host = (port: number) => ({ address: "127.0.0.1", port, hostKey: keys.host.public, dns: role });
	// The lab's, so that all is there that the engine asks for, with other hosts and without what else it declares.
	writeConfig(join(program, "Pulumi.hosts.yaml"), (values) => {
		for (const key of ["monitoring", "driftDetection", "vault", "woodpecker"]) delete values[key];
		const login = (values["sshPrivateKeys"] as Record<string, unknown>)[proxmox.hostname];
		values["hosts"] = Object.fromEntries(ports.map((port, i) => [`host-${i}`, host(port)]));
		values["sshPrivateKeys"] = Object.fromEntries(ports.map((_, i) => [`host-${i}`, login]));
	});
	pulumi("stack", "init");
	const start = performance.now();
	pulumi("up", "--yes", "--skip-preview");
	const seconds = (performance.now() - start) / 1000;
	const look = `cd '${program}' && exec pulumi preview --refresh --expect-no-changes ${stack.join(" ")}`;
	return { seconds, pulumi: { name: "pulumi preview --refresh", command: look, env: env as Record<string, string> } };
}

function writeSshConfig(folder: string, ports: number[], key: string): string {
	const path = join(folder, "ssh_config");
	const hosts = ports.map((port, i) => `Host host-${i}\n  HostName 127.0.0.1\n  Port ${port}\n`);
	const login = `Host *\n  User root\n  IdentityFile ${key}\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n`;
	writeFileSync(path, [...hosts, login].join("\n"));
	return path;
}
