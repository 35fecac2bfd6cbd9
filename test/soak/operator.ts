/** What is done to the estate by those who run it, and what happens to it: one thing after the other. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { dns, registryVm, STACK } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import { askVm, docker, drift, onVm, registryConfig, run, up, type Variant } from "../lab/lab.ts";
import type { Random } from "./random.ts";

/** Of each kind, what is done; it throws where the estate does not take it. */
export type Work = Record<string, (random: Random) => Promise<void>>;

/** What those who run it do. */
export function operations(variant: Variant): Work {
	return {
		"update that recreates a cache": () => bounce(variant),
		"hand edit, found and put back": async () => {
			await onVm("sed -i 's/server_tokens off;/server_tokens on;/' /opt/registry/nginx.conf");
			await up();
			await onVm("grep -q 'server_tokens off;' /opt/registry/nginx.conf");
		},
		"scan of the disk": () => succeeds("/opt/registry/fix-broken-blobs.sh"),
		"cleanup of tags": () => succeeds("/opt/registry/cleanup-tags.sh --keep 10"),
		// It waits for a moment without pushes, and ends with 2 where the clients give it none.
		collection: () => succeeds("/opt/registry/garbage-collect.sh private", [0, 2]),
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
			child.kill("SIGKILL");
			await ended;
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

async function succeeds(command: string, expected = [0]): Promise<void> {
	const { exitCode, output } = await askVm(command);
	if (!expected.includes(exitCode)) throw new Error(`${command} ended with ${exitCode}: ${output}`);
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
