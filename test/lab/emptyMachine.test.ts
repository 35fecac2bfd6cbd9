/** A machine that has sshd and nothing else: one `pulumi up` makes a registry of it, and destroy leaves its data. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kubectl } from "../../lab/cluster.ts";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { dns, NET, names, PREFIX, publicDns, registryVm } from "../../lab/estate.ts";
import { buildEmptyMachine, buildImages, type Images } from "../../lab/images.ts";
import { readKeys } from "../../lab/keys.ts";
import { type Machine, startMachine, vmImages } from "../../lab/machines.ts";
import { Step, until } from "../../lab/run.ts";
import { docker, env, hostConfig, type Outcome, pulumi, run, type Variant, variant } from "./lab.ts";

const machine: Machine = {
	container: `${PREFIX}-empty`,
	hostname: "empty",
	address: `${NET}.11`,
	ports: { 22: 20_023 },
};
/** In the cluster, beside the lab's own. */
const NAMESPACE = "empty-machine";
const step = new Step("empty-machine");
let engine: Engine;
let folder: string;
let changed: Variant;

beforeAll(async () => {
	engine = (await findEngine(step)) as Engine;
	const images = await buildImages(engine, step, () => {});
	const image = await buildEmptyMachine(engine, step, images);
	await fillMirror(images);
	await remove();
	await startMachine(engine, step, machine, image, await readKeys());
	folder = await mkdtemp(join(tmpdir(), "empty-machine-test-"));
	await mkdir(join(folder, "state"));
	changed = await variant();
	await changed.configure((config) => {
		const { hostname } = registryVm;
		// The copies of the key are the lab's.
		const { key: _, ...host } = hostConfig(config, hostname);
		config["homelab-registry:hosts"] = { [hostname]: { ...host, port: machine.ports[22] } };
		Reflect.deleteProperty(config, "homelab-registry:woodpecker");
		const keys = config["homelab-registry:sshPrivateKeys"] as Record<string, unknown>;
		config["homelab-registry:sshPrivateKeys"] = { [hostname]: keys[hostname] };
		Object.assign(config["homelab-registry:monitoring"] as object, { namespace: NAMESPACE });
	});
	await docker(...kubectl("create", "namespace", NAMESPACE));
	await stack("init", "lab");
}, 600_000);
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await rm(folder, { recursive: true });
	await remove();
});

/** What compose pulls, in the upstream that is the machine's mirror of Docker Hub. */
async function fillMirror(images: Images) {
	const address = await engine.docker(step, ["port", `${PREFIX}-upstream-dockerhub`, "5000/tcp"]);
	for (const [part, name] of Object.entries(vmImages)) {
		const repository = name.includes("/") ? name : `library/${name}`;
		const script = 'docker save "$0" >"$2" && crane push "$2" "$1"; status=$?; rm -f "$2"; exit "$status"';
		const file = join(tmpdir(), `empty-machine-${part}.tar`);
		await step.run("sh", ["-c", script, images[part as keyof typeof vmImages], `${address}/${repository}`, file], {
			env: { DOCKER_HOST: engine.host },
		});
	}
}

async function remove() {
	await engine.ask(step, kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found"));
	await engine.ask(step, ["rm", "--force", "--volumes", machine.container]);
}

const backend = () => ({ PULUMI_BACKEND_URL: `file://${join(folder, "state")}` });
const stack = (...args: string[]) => pulumi(["stack", ...args], changed.folder, backend());
const up = () => pulumi(["up", "--yes", "--skip-preview", "--stack", "lab"], changed.folder, backend());
const destroy = () => pulumi(["destroy", "--yes", "--skip-preview", "--stack", "lab"], changed.folder, backend());
const onMachine = (command: string): Promise<Outcome> =>
	run("ssh", [
		"-F",
		env("LAB_SSH_CONFIG"),
		"-p",
		String(machine.ports[22]),
		"-o",
		`HostKeyAlias=${alias}`,
		"registry",
		command,
	]);
const alias = `[127.0.0.1]:${registryVm.sshPort}`;
const succeed = ({ exitCode, output }: Outcome) => {
	expect(output).not.toContain("error:");
	expect(exitCode, output).toBe(0);
};

describe("an empty machine", () => {
	it("has none of what the registry needs", async () => {
		const { stdout } = await onMachine("for p in docker node curl cron logrotate; do command -v $p; done; ls /opt");
		expect(stdout.trim()).toBe("");
	});

	it("becomes a registry in one up, says what it installed, and needs nothing more", async () => {
		const first = await up();
		succeed(first);
		expect(first.output).toContain("Docker does not run there: put right");
		succeed(await onMachine("sh /opt/registry/bounce.sh try-verify </dev/null"));
		expect((await onMachine("resolvectl dns eth0")).stdout).toContain(`${dns.address} ${publicDns.address}`);
		expect((await onMachine("systemctl is-enabled docker-compose-registry.service docker cron")).stdout).toBe(
			"enabled\nenabled\nenabled",
		);
		const second = await up();
		expect(second.output).toMatch(/Resources:\n +\d+ unchanged\n/);
	});

	it("comes back by itself after a reboot", async () => {
		await engine.docker(step, ["restart", "-t", "20", machine.container]);
		await until("every port answers as itself again", 120, async () => {
			return (await onMachine("sh /opt/registry/bounce.sh try-verify </dev/null")).exitCode === 0;
		});
		expect((await onMachine("systemctl is-active docker-compose-registry.service")).stdout).toBe("active");
	});

	it("that is protected is not destroyed", async () => {
		await changed.configure((config) => Object.assign(config, { "homelab-registry:protect": true }));
		succeed(await up());
		const { exitCode, output } = await destroy();
		expect(exitCode).not.toBe(0);
		expect(output).toMatch(/protect/);
		succeed(await onMachine("sh /opt/registry/bounce.sh try-verify </dev/null"));
	});

	it("keeps its data when it is destroyed, and loses all else", async () => {
		await changed.configure((config) => Object.assign(config, { "homelab-registry:protect": false }));
		succeed(await up());
		const data = "cd /opt/registry/data && find . -type f -exec sha256sum {} + | sort";
		await onMachine("mkdir -p /opt/registry/data/private && echo precious >/opt/registry/data/private/layer");
		const before = (await onMachine(data)).stdout;
		expect(before).toContain("private/layer");
		succeed(await destroy());
		expect((await onMachine(data)).stdout).toBe(before);
		expect((await onMachine("docker ps --all --quiet; ls /opt/registry; ls /etc/cron.d/registry")).stdout).toBe(
			"data\ntls",
		);
		expect((await onMachine(`getent ahostsv4 ${names.internal.name}`)).stdout).toContain(names.internal.address);
	});
});
