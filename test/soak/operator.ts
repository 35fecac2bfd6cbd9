/** What is done to the estate by those who run it, and what happens to it: one thing after the other. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { dns, proxmox, registryVm, STACK } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { until } from "../../lab/run.ts";
import { askVm, docker, drift, onVm, registryConfig, run, up, type Variant } from "../lab/lab.ts";
import { repositories } from "./clients.ts";
import type { Random } from "./random.ts";

/** Of each kind, what is done; it throws where the estate does not take it. */
export type Work = Record<string, (random: Random) => Promise<void>>;

/** Where the private registry's data is. */
const DATA = "/opt/registry/data/private";
/** How long nobody may have pushed before a collection begins, in milliseconds, and a little more. */
const QUIET = 33_000;

/**
 * Gives the private registry a disk of its own, with what it has now, in the VM's memory, so that filling it fills nothing else. The
 * disk goes, with all that was pushed to it, when it is disposed of.
 */
export async function smallDisk(): Promise<AsyncDisposable> {
	const remove = `! mountpoint -q ${DATA} || { docker stop registry-private && umount ${DATA} && docker start registry-private; } >/dev/null`;
	await onVm(remove); // That of a run that was killed.
	await onVm(
		`mkdir -p /tmp/soak && mount -t tmpfs -o size=2g,mode=0755 soak /tmp/soak && cp -a ${DATA}/. /tmp/soak && mount --move /tmp/soak ${DATA} && rmdir /tmp/soak && docker restart registry-private >/dev/null`,
	);
	return {
		async [Symbol.asyncDispose]() {
			await onVm(remove);
		},
	};
}

/** What those who run it do. `rest` makes the clients wait so many milliseconds before they begin anything new. */
export function operations(variant: Variant, rest: (milliseconds: number) => void): Work {
	return {
		"update that recreates a cache": () => bounce(variant),
		"hand edit, found and put back": async () => {
			await onVm("sed -i 's/server_tokens off;/server_tokens on;/' /opt/registry/nginx.conf");
			await up();
			await onVm("grep -q 'server_tokens off;' /opt/registry/nginx.conf");
		},
		"scan of the disk": () => succeeds("/opt/registry/fix-broken-blobs.sh"),
		"cleanup of tags": () => succeeds("/opt/registry/cleanup-tags.sh --keep 10"),
		// It begins when nobody has pushed for a while; then they push again.
		collection: async () => {
			rest(QUIET);
			await succeeds("/opt/registry/garbage-collect.sh private");
		},
		"rotation of a login key, and back": async () => {
			const rotate = () => script(variant, "rotateKey.ts", proxmox.hostname);
			await rotate();
			// A rotation that was begun with the lab's own key.
			const input = await readFile(join(paths.keys, "proxmox-login"), "utf8");
			const next = `sshPrivateKeys["${proxmox.hostname}.next"]`;
			const set = ["config", "set", "--stack", STACK, "--secret", "--path", next];
			const { exitCode, output } = await run("pulumi", set, { cwd: variant.folder, input });
			if (exitCode !== 0) throw new Error(output);
			await rotate();
			await variant.reset();
		},
		// Clients with the old one are refused until it is back.
		"rotation of the password, and back": async () => {
			await script(variant, "rotatePassword.ts");
			await variant.reset();
			await up();
		},
		probe,
		"look for drift": async () => {
			const { exitCode, output } = await drift();
			if (exitCode !== 0) throw new Error(`ended with ${exitCode}: ${output}`);
		},
	};
}

/** What happens to it. One update must heal it: nobody is there at night who would run a second one. */
export function faults(variant: Variant): Work {
	return {
		"update that is killed": async (random) => {
			await withOtherUpstream(variant);
			const args = ["up", "--yes", "--skip-preview", "--stack", STACK];
			const child = spawn("pulumi", args, { cwd: variant.folder, stdio: "ignore" });
			const ended = once(child, "exit");
			await Promise.race([pause(1000 * (3 + random.below(14))), ended]);
			// Its language host would wait for it for ever.
			const below = (await run("pgrep", ["--parent", String(child.pid)])).stdout.split("\n").filter(Boolean);
			child.kill("SIGKILL");
			await ended;
			await run("kill", ["-KILL", ...below]);
			await run("pulumi", ["cancel", "--yes", "--stack", STACK]);
			await variant.reset();
			await up();
		},
		"registry that is killed": async () => {
			await onVm("docker kill registry-private && docker start registry-private");
			await up();
		},
		"VM that is cut off": async (random) => {
			await docker("pause", registryVm.container);
			await pause(1000 * (2 + random.below(8)));
			await docker("unpause", registryVm.container);
			await up();
		},
		"disk that is full": async (random) => {
			const filler = `${DATA}/filler`;
			await onVm(`! dd if=/dev/zero of=${filler} bs=1M 2>/dev/null`);
			await pause(1000 * (2 + random.below(8)));
			await onVm(`rm ${filler}`);
			await up();
			// As docs/runbooks/registry-vm.md says; what is younger than a minute may just be being written.
			await pause(61_000);
			await askVm("/opt/registry/fix-broken-blobs.sh --truncated");
			for (const name of repositories) await askVm(`/opt/registry/repair.sh ${name}`);
			await succeeds("/opt/registry/fix-broken-blobs.sh --dry-run");
		},
		"name server that is down": async (random) => {
			await docker("pause", dns.container);
			await pause(1000 * (2 + random.below(8)));
			await docker("unpause", dns.container);
			await up();
		},
	};
}

async function bounce(variant: Variant): Promise<void> {
	await withOtherUpstream(variant);
	const { exitCode, output } = await variant.up();
	if (exitCode !== 0) throw new Error(output);
	await variant.reset();
	await up();
}

/** The same server in other words, which is a change of its cache's config. */
function withOtherUpstream(variant: Variant): Promise<void> {
	return variant.configure((config) => {
		for (const cache of registryConfig(config).caches) if (cache.port === 5020) cache.upstream += "/";
	});
}

async function succeeds(command: string): Promise<void> {
	const { exitCode, output } = await askVm(command);
	if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}: ${output}`);
}

async function script({ folder }: Variant, name: string, ...args: string[]): Promise<void> {
	const { exitCode, output } = await run("node", [`scripts/${name}`, ...args, "--stack", STACK], { cwd: folder });
	if (exitCode !== 0) throw new Error(`${name} ended with ${exitCode}: ${output}`);
}

async function probe(): Promise<void> {
	const name = `soak-${Date.now()}`;
	const kubectl = async (...args: string[]) => {
		const { exitCode, output, stdout } = await run("kubectl", ["--namespace", "monitoring", ...args]);
		if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${output}`);
		return stdout;
	};
	await kubectl("create", "job", name, "--from=cronjob/registry-integrity-probe");
	const { type } = await until(`the job ${name} has ended`, 180, async () => {
		const { status } = JSON.parse(await kubectl("get", "job", name, "--output=json"));
		const conditions: { type: string; status: string }[] = status.conditions ?? [];
		return conditions.find(({ type, status }) => status === "True" && (type === "Complete" || type === "Failed"));
	});
	const log = await kubectl("logs", `job/${name}`);
	await kubectl("delete", "job", name);
	if (type !== "Complete" || !/ 0 broken;/.test(log)) throw new Error(`it says of a whole registry: ${log}`);
}
