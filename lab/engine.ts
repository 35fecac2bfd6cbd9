/** The Docker engine underneath: the machine's own where one answers, else one that the lab starts. */
import { spawn } from "node:child_process";
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { gateways } from "./estate.ts";
import { paths } from "./paths.ts";
import { runs, type Step, StepError, until } from "./run.ts";

const ownHost = `unix://${join(paths.run, "docker.sock")}`;
const pidFile = join(paths.run, "docker.pid");

export interface Engine {
	/** For DOCKER_HOST. */
	host: string;
	/** True where the lab started it and so may stop it. */
	ours: boolean;
	/** Runs the docker client against this engine. */
	docker(step: Step, args: string[], options?: Parameters<Step["run"]>[2]): Promise<string>;
	/** The same, where failure is an answer. */
	ask(step: Step, args: string[]): Promise<string | undefined>;
}

/** The engine that answers, if any: the lab's own first. */
export async function findEngine(step: Step): Promise<Engine | undefined> {
	for (const candidate of [engine(ownHost, true), engine(process.env["DOCKER_HOST"] ?? "", false)]) {
		if (candidate.ours && !(await ourPid())) continue;
		if (await candidate.ask(step, ["info", "--format", "{{.ID}}"])) {
			if (candidate.host !== "") return candidate;
			const context = await step.run("docker", ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
			return engine(context, false);
		}
	}
	return undefined;
}

/** Finds an engine or starts one. */
export async function startEngine(step: Step): Promise<Engine> {
	const found = await findEngine(step);
	if (found) return found;
	if (!(await step.ask("sh", ["-c", "command -v dockerd"]))) {
		throw new StepError(
			"no Docker engine answers, and there is no dockerd to start one with; install Docker and start it",
		);
	}
	await forgetEarlierLife();
	await removeLeftNetworks(step);
	await mkdir(paths.run, { recursive: true, mode: 0o711 });
	await mkdir(paths.engine, { recursive: true });
	await mkdir(paths.logs, { recursive: true });
	const log = await open(join(paths.logs, "dockerd.log"), "a");
	const daemon = spawn(
		"dockerd",
		[
			["--data-root", paths.engine],
			["--exec-root", join(paths.run, "exec")],
			["--pidfile", pidFile],
			["-H", ownHost],
		].flat(),
		{ detached: true, stdio: ["ignore", log.fd, log.fd] },
	);
	daemon.unref();
	await log.close();
	const started = engine(ownHost, true);
	await until(`the Docker engine we started answers (log: ${join(paths.logs, "dockerd.log")})`, 60, async () => {
		if (daemon.exitCode !== null)
			throw new StepError(`dockerd ended at once; its log is ${join(paths.logs, "dockerd.log")}`);
		return (await started.ask(step, ["info", "--format", "{{.ID}}"])) !== undefined;
	});
	return started;
}

/** True where the lab's own engine runs, or died and left its containers behind. */
export async function hasOwnEngine(): Promise<boolean> {
	return stat(paths.run).then(
		() => true,
		() => false,
	);
}

/** Stops the lab's own engine. */
export async function stopEngine(): Promise<void> {
	const pid = await ourPid();
	if (pid !== undefined) {
		process.kill(pid, "SIGTERM");
		await until("the lab's Docker engine has ended", 60, async () => (await ourPid()) === undefined);
	}
	await unmountLeft();
	await rm(paths.run, { recursive: true, force: true });
}

/** What an engine that was killed leaves mounted there: the network namespace of containers on the host's network. */
async function unmountLeft(): Promise<void> {
	const mounted = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
	for (const place of mounted.filter((one) => one.startsWith(`${paths.run}/`)).reverse())
		await execa("umount", ["--lazy", place]);
}

/**
 * Pid files of an engine that was killed: dockerd believes them where the number is a zombie's or somebody
 * else's. What else that life left in /run, dockerd takes over by itself.
 */
async function forgetEarlierLife(): Promise<void> {
	await rm(pidFile, { force: true });
	const containerd = join(paths.run, "exec", "containerd");
	const pid = Number(await readFile(join(containerd, "containerd.pid"), "utf8").catch(() => ""));
	if (!pid) return;
	await until(`containerd (pid ${pid}) has followed the engine that was killed`, 20, async () => {
		return !(await runs(pid, containerd));
	});
	await rm(join(containerd, "containerd.pid"));
}

/**
 * Takes away the lab's networks that an engine left behind, with the cables of containers where it was killed; the engine
 * makes those that it knows anew. The kernel keeps a cable's other end for as long as a connection there waits for an
 * answer, a minute and a half, and the next container gets its address; and a network of an engine whose files were
 * deleted gets what is sent to the new one. No engine runs here, so there is no container on them.
 */
async function removeLeftNetworks(step: Step): Promise<void> {
	// Node.js's own list leaves out those without a cable.
	const bridges = JSON.parse(await step.run("ip", ["-json", "-4", "address", "show", "type", "bridge"])) as Bridge[];
	const isOurs = ({ ifname, addr_info: addresses = [] }: Bridge) =>
		addresses.some(({ local }) => gateways.includes(local)) && /^br-[0-9a-f]{12}$/.test(ifname);
	for (const { ifname: bridge } of bridges.filter(isOurs)) {
		const cables = () => readdir(`/sys/class/net/${bridge}/brif`);
		// It may go by itself meanwhile.
		for (const cable of await cables()) await step.ask("ip", ["link", "delete", cable]);
		const left = await cables();
		if (left.length > 0)
			throw new StepError(
				`the network ${bridge} still has cables of containers that are gone: ${left.join(", ")}; remove them with "ip link delete"`,
			);
		await step.run("ip", ["link", "delete", bridge]);
	}
}

/** As `ip` shows it, or an empty object where it has no address. Docker names its own by the network's number. */
interface Bridge {
	ifname: string;
	addr_info?: { local: string }[];
}

/** The pid of the lab's dockerd; a pid file that outlived it, or whose number now is somebody else's, does not count. */
async function ourPid(): Promise<number | undefined> {
	const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
	if (!pid) return undefined;
	return (await runs(pid, pidFile)) ? pid : undefined;
}

function engine(host: string, ours: boolean): Engine {
	const env = { ...(host && { DOCKER_HOST: host }) };
	return {
		host,
		ours,
		docker: (step, args, options) => step.run("docker", args, { ...options, env: { ...env, ...options?.env } }),
		ask: (step, args) => step.ask("docker", args, { env }),
	};
}
