/** The lab's containers: DNS, upstream registries, and the registry VM. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type TarEntry, tarball } from "../host/tarball.ts";
import type { Engine } from "./engine.ts";
import {
	caches,
	dns,
	LABEL,
	machineCapabilities,
	monitoring,
	names,
	network,
	privateRegistry,
	proxmox,
	publicDns,
	published,
	registryVm,
} from "./estate.ts";
import type { Images } from "./images.ts";
import type { Keys } from "./keys.ts";
import { type Step, until } from "./run.ts";

/** The images as the registry VM's compose file names them. */
export const vmImages = { registry: "registry:2.8.3", nginx: "nginx:1.22.1", ui: "joxit/docker-registry-ui:lab" };

export async function startNetwork(engine: Engine, step: Step): Promise<void> {
	if (await engine.ask(step, ["network", "inspect", network.name])) return;
	await engine.docker(
		step,
		[
			["network", "create", "--label", LABEL, "--subnet", network.subnet],
			["--gateway", network.gateway, network.name],
		].flat(),
	);
}

/** Knows the internal zones, and asks the public server for the rest, as a home's own server does. */
export async function startDns(engine: Engine, step: Step, images: Images): Promise<void> {
	const addresses = {
		...Object.fromEntries(caches.map(({ upstream }) => [new URL(upstream.url).hostname, upstream.address])),
		[privateRegistry.hostname]: registryVm.address,
		[names.internal.name]: names.internal.address,
		[`${monitoring.pushgateway.name}.svc.cluster.local`]: monitoring.pushgateway.address,
	};
	const records = Object.entries(addresses).map(([name, address]) => `--host-record=${name},${address}`);
	const local = [dns.zone, "cluster.local", "viktorbarzin.lan"].map((zone) => `--local=/${zone}/`);
	await ensureContainer(
		engine,
		step,
		dns.container,
		[
			["--network", network.name, "--ip", dns.address, images.base],
			["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--log-facility=-"],
			[`--server=${publicDns.address}`, "--cache-size=0"],
			local,
			records,
		].flat(),
	);
}

/** Knows the external name, and says of all others, with the root zone's word for it, that there is no such name. */
export async function startPublicDns(engine: Engine, step: Step, images: Images): Promise<void> {
	const config = `server:
  interface: 0.0.0.0
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  username: ""
  chroot: ""
  logfile: ""
  module-config: iterator
  local-zone: "." static
  local-data: ". 86400 IN SOA a.root-servers.net nstld.verisign-grs.com 1 1800 900 604800 86400"
  local-data: "${names.external.name}. 300 IN A ${names.external.address}"
`;
	await ensureContainer(
		engine,
		step,
		publicDns.container,
		["--network", network.name, "--ip", publicDns.address, images.base, "unbound", "-p", "-c", "/etc/unbound/lab.conf"],
		[{ name: "etc/unbound/lab.conf", mode: 0o644, content: config }],
	);
}

/** A Proxmox host, as far as its resolver goes. */
export async function startProxmox(engine: Engine, step: Step, images: Images, keys: Keys): Promise<void> {
	const machine = { ...proxmox, ports: { 22: proxmox.sshPort }, login: keys.proxmoxLogin.public };
	await startMachine(engine, step, machine, images.proxmox, keys, ["ssh"]);
}

/** Starts the upstream registries; resolves with where each one is reached from here, by cache name. */
export async function startUpstreams(engine: Engine, step: Step, images: Images): Promise<Record<string, string>> {
	const entries = caches.map(async ({ name, upstream }) => {
		await ensureContainer(
			engine,
			step,
			upstream.container,
			[["--network", network.name, "--ip", upstream.address, "--publish", "127.0.0.1::5000", images.registry]].flat(),
		);
		return [name, await engine.docker(step, ["port", upstream.container, "5000/tcp"])] as const;
	});
	return Object.fromEntries(await Promise.all(entries));
}

/** A container that is a machine: systemd, sshd, an address of its own. */
export interface Machine {
	container: string;
	hostname: string;
	/** On the lab's network. */
	address: string;
	/** By port of the machine: where it is on this machine's loopback. */
	ports: Record<number, number>;
	/** The public key that may log in; the registry VM's by default. */
	login?: string;
	/** What it has that no other machine has. */
	files?: TarEntry[];
}

/** The registry VM; every port that the estate publishes is on this machine's loopback, too. */
export async function startRegistryVm(engine: Engine, step: Step, images: Images, keys: Keys): Promise<void> {
	const ports = [
		...caches.map(({ port }) => port),
		...caches.flatMap(({ metricsPort }) => (metricsPort === undefined ? [] : [metricsPort])),
		privateRegistry.port,
		registryVm.uiPort,
	];
	const machine = {
		...registryVm,
		ports: { 22: registryVm.sshPort, ...Object.fromEntries(ports.map((port) => [port, published(port)])) },
	};
	await startMachine(engine, step, machine, images.machine, keys);
	await until("Docker runs on the registry VM", 90, async () => {
		return (await engine.ask(step, ["exec", registryVm.container, "docker", "info"])) !== undefined;
	});
}

/** Starts a machine and waits until it can be logged in to and resolves names. */
export async function startMachine(
	engine: Engine,
	step: Step,
	machine: Machine,
	image: string,
	keys: Keys,
	units = ["ssh", "systemd-resolved"],
): Promise<void> {
	await ensureContainer(
		engine,
		step,
		machine.container,
		[
			["--hostname", machine.hostname, "--network", network.name, "--ip", machine.address],
			Object.entries(machine.ports).flatMap(([inside, here]) => ["--publish", `127.0.0.1:${here}:${inside}`]),
			["--volume", "/var/lib/docker"], // Its own, and gone with it: a machine made anew remembers no containers.
			["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"],
			await machineOptions(engine, step),
			[image],
		].flat(),
		[
			{ name: "etc/ssh/ssh_host_ed25519_key", mode: 0o600, content: keys.host.private },
			{ name: "root/.ssh/authorized_keys", mode: 0o600, content: `${machine.login ?? keys.login.public}\n` },
			{ name: "etc/netplan/50-cloud-init.yaml", mode: 0o600, content: netplan(machine.address) },
			...(machine.files ?? []),
		],
	);
	const active = ["exec", machine.container, "systemctl", "is-active", ...units];
	await until(`${machine.hostname} has booted, with sshd running`, 90, async () => {
		return (await engine.ask(step, active)) !== undefined;
	});
}

/** Puts the images that compose names into the VM's Docker; resolves with what was missing there. */
export async function loadVmImages(engine: Engine, step: Step, images: Images): Promise<string[]> {
	const loaded: string[] = [];
	for (const [part, name] of Object.entries(vmImages)) {
		const source = images[part as keyof typeof vmImages];
		const id = await engine.docker(step, ["image", "inspect", "--format", "{{.Id}}", source]);
		const there = await engine.ask(step, [
			"exec",
			registryVm.container,
			"docker",
			"image",
			"inspect",
			"--format",
			"{{.Id}}",
			name,
		]);
		if (there === id) continue;
		await step.run("sh", ["-c", `docker save ${source} | docker exec -i ${registryVm.container} docker load`], {
			env: { DOCKER_HOST: engine.host },
		});
		// Named only in the VM: on this machine's own engine, the names may be the real ones.
		await engine.docker(step, ["exec", registryVm.container, "docker", "tag", source, name]);
		loaded.push(name);
	}
	return loaded;
}

/** What a container needs in order to be a machine, on this engine. */
async function machineOptions(engine: Engine, step: Step): Promise<string[]> {
	const cgroup1 = (await engine.docker(step, ["info", "--format", "{{.CgroupVersion}}"])) === "1";
	const cgroup = cgroup1 ? ["--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"] : ["--cgroupns=private"];
	if (await mayBePrivileged()) return ["--privileged", ...cgroup];
	const capabilities = machineCapabilities.flatMap((name) => ["--cap-add", name]);
	return [
		"--cap-drop",
		"ALL",
		...capabilities,
		"--security-opt",
		"seccomp=unconfined",
		"--security-opt",
		"apparmor=unconfined",
		...cgroup,
	];
}

/** --privileged asks for every capability, and fails where this machine lacks one (CAP_SYS_RESOURCE is bit 24). */
async function mayBePrivileged(): Promise<boolean> {
	const status = await readFile("/proc/self/status", "utf8").catch(() => "");
	const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1];
	return bounding === undefined || ((BigInt(`0x${bounding}`) >> 24n) & 1n) === 1n;
}

/** As cloud-init leaves it on a VM. */
const netplan = (address: string) => `# This file is generated from information provided by the datasource.  Changes
# to it will not persist across an instance reboot.  To disable cloud-init's
# network configuration capabilities, write a file
# /etc/cloud/cloud.cfg.d/99-disable-network-config.cfg with the following:
# network: {config: disabled}
network:
    version: 2
    renderer: networkd
    ethernets:
        eth0:
            addresses:
            - ${address}/24
            nameservers:
                addresses:
                - ${dns.address}
                search: []
            routes:
            -   to: default
                via: ${network.gateway}
`;

/**
 * Makes sure that the container runs and was made from these arguments and files; one that was not
 * is made anew. It gets its name last, so that one that was only half made is never taken for it. `secrets` are
 * environment variables that no command line and no log shows.
 */
export async function ensureContainer(
	engine: Engine,
	step: Step,
	name: string,
	args: string[],
	files: TarEntry[] = [],
	secrets: Record<string, string> = {},
): Promise<void> {
	const made = createHash("sha256")
		.update(JSON.stringify([args, files, secrets]))
		.digest("hex");
	const found = await engine.ask(step, [
		"inspect",
		"--format",
		`{{index .Config.Labels "${LABEL}"}} {{.State.Running}}`,
		name,
	]);
	if (found === `${made} true`) return;
	if (found !== `${made} false`) {
		const half = `${name}-half`;
		for (const old of [name, half]) await engine.ask(step, ["rm", "--force", "--volumes", old]);
		const environment = Object.keys(secrets).flatMap((variable) => ["--env", variable]);
		const create = ["create", "--name", half, "--label", `${LABEL}=${made}`, ...environment, ...args];
		await engine.docker(step, create, { env: secrets });
		if (files.length > 0) await engine.docker(step, ["cp", "-", `${half}:/`], { input: await tarball(files) });
		await engine.docker(step, ["rename", half, name]);
	}
	await engine.docker(step, ["start", name]);
}
