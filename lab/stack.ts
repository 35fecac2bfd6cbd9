/** The lab's Pulumi: where it keeps its state, and the stack `lab` with its config. */
import { createHash } from "node:crypto";
import { glob, mkdir, readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { parse, parseDocument, stringify } from "yaml";
import { nodeImage } from "./cluster.ts";
import type { Engine } from "./engine.ts";
import {
	caches,
	dns,
	isFirst,
	monitoring,
	names,
	privateRegistry,
	proxmox,
	publicDns,
	published,
	registryVm,
	STACK,
	vault,
	woodpecker,
} from "./estate.ts";
import { type Keys, kubeconfigPath, sshConfigPath } from "./keys.ts";
import { vmImages } from "./machines.ts";
import { checkout, paths } from "./paths.ts";
import { runs, type Step, until } from "./run.ts";

/** What a person's shell needs in order to work with the lab; `lab-env` prints it. */
export function environment(engine: Engine, keys: Keys): Record<string, string> {
	const PATH = (process.env["PATH"] ?? "")
		.split(":")
		.filter((folder) => folder !== paths.bin && !folder.endsWith("/node_modules/.bin"));
	return {
		LAB_REGISTRY: `localhost:${published(privateRegistry.port)}`,
		LAB_REGISTRY_CA: keys.caPath,
		LAB_REGISTRY_USER: keys.registry.user,
		LAB_REGISTRY_PASSWORD: keys.registry.password,
		LAB_SSH_CONFIG: sshConfigPath,
		KUBECONFIG: kubeconfigPath,
		LAB_DOCKER_HOST: engine.host,
		LAB_WOODPECKER: woodpeckerUrl,
		LAB_WOODPECKER_TOKEN: keys.woodpecker.token,
		...pulumiEnvironment(keys),
		PATH: [paths.bin, ...PATH].join(":"),
	};
}

const woodpeckerUrl = `http://127.0.0.1:${woodpecker.port}`;

export function pulumiEnvironment(keys: Keys): Record<string, string> {
	return {
		VAULT_ADDR: `https://127.0.0.1:${vault.port}`,
		VAULT_CACERT: keys.caPath,
		VAULT_TOKEN: keys.vault.token,
		WOODPECKER_TOKEN: keys.woodpecker.token,
		KUBECONFIG: kubeconfigPath,
		PULUMI_HOME: paths.pulumiHome,
		PULUMI_BACKEND_URL: `file://${paths.state}`,
		PULUMI_CONFIG_PASSPHRASE: "lab",
		PULUMI_SKIP_UPDATE_CHECK: "true",
		// What is not in the lab's Pulumi home can't be had.
		PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
	};
}

/** Selects the stack, making it if need be, and writes Pulumi.lab.yaml; resolves with what was done. */
export async function configureStack(
	step: Step,
	keys: Keys,
	env: Record<string, string>,
): Promise<"written" | "unchanged"> {
	await mkdir(paths.state, { recursive: true });
	const pulumi = (args: string[], input?: string) =>
		step.run("pulumi", [...args, "--non-interactive"], { cwd: checkout, env, ...(input !== undefined && { input }) });
	const file = join(checkout, `Pulumi.${STACK}.yaml`);

	const reached = { address: "127.0.0.1", hostKey: keys.host.public };
	const servers = {
		primary: dns.address,
		fallback: publicDns.address,
		search: "viktorbarzin.lan",
		revertSeconds: 15,
	};
	const plain = {
		images: { ...vmImages, node: nodeImage },
		...(isFirst && {
			monitoring: {
				namespace: "monitoring",
				pushgateway: `http://${monitoring.pushgateway.name}:9091`,
				rules: "ConfigMap",
			},
			driftDetection: {
				pushgateway: `http://127.0.0.1:${monitoring.pushgateway.port}`,
				prometheus: `http://127.0.0.1:${monitoring.prometheus.port}`,
			},
		}),
		...(isFirst && {
			vault: { policies: true },
			woodpecker: { server: woodpeckerUrl, repository: woodpecker.repository },
		}),
		dnsNames: { internal: [names.internal.name], external: names.external.name },
		hosts: {
			[registryVm.hostname]: {
				...reached,
				port: registryVm.sshPort,
				registry: {
					uiPort: registryVm.uiPort,
					subnet: registryVm.subnet,
					caches: caches.map(({ upstream, ...cache }) => ({ ...cache, upstream: upstream.url })),
					private: { ...privateRegistry, address: registryVm.address },
				},
				dns: { ...servers, netplan: { interface: "eth0" } },
				...(isFirst && {
					key: {
						label: "woodpecker-registry-config-sync",
						vault: "woodpecker/registry_ssh_key",
						secret: { name: "registry_ssh_key", events: ["push", "manual"] },
					},
				}),
			},
			[proxmox.hostname]: {
				...reached,
				port: proxmox.sshPort,
				dns: servers,
				...(isFirst && {
					key: {
						label: "woodpecker-pve-nfs-exports-sync",
						vault: "woodpecker/pve_ssh_key",
						secret: { name: "pve_ssh_key", events: ["push", "manual", "cron"] },
					},
				}),
			},
			truenas: { address: "127.0.0.1", port: 9, deferred: "2026-04-19", dns: servers },
		},
		registryCa: await readFile(keys.caPath, "utf8"),
		registryUser: keys.registry.user,
		dockerhubUsername: keys.dockerhub.username,
		tlsCertificate: keys.certificate,
	};
	const secrets = {
		[`sshPrivateKeys.${registryVm.hostname}`]: keys.login.private,
		[`sshPrivateKeys.${proxmox.hostname}`]: keys.proxmoxLogin.private,
		registryPassword: keys.registry.password,
		dockerhubPassword: keys.dockerhub.password,
		tlsPrivateKey: keys.certificateKey,
	};
	await pulumi(["stack", "select", "--create", STACK]);

	// Secrets are encrypted anew each time, so the file says in a comment what it was made from.
	const made = createHash("sha256")
		.update(JSON.stringify([plain, secrets]))
		.digest("hex");
	const text = await readFile(file, "utf8").catch(() => "");
	const intact = text.includes(`; made from ${made} `) && text.includes(`, is ${digestOf(text)}\n`);
	if (intact) return "unchanged";

	const { encryptionsalt } = (parse(text) ?? {}) as { encryptionsalt?: string };
	const namespaced = Object.fromEntries(
		Object.entries(plain).map(([key, value]) => [`homelab-registry:${key}`, value]),
	);
	await writeFile(file, stringify({ ...(encryptionsalt && { encryptionsalt }), config: namespaced }));
	for (const [key, value] of Object.entries(secrets))
		await pulumi(["config", "set", "--stack", STACK, "--secret", "--path", key], value);
	const written = parseDocument(await readFile(file, "utf8")).toString();
	await writeFile(
		file,
		`# The lab's stack, written by make lab; made from ${made} , is ${digestOf(written)}\n${written}`,
	);
	return "written";
}

/**
 * Gives back the stack where a run that was killed left it locked; resolves with true where there was one to
 * give back. A pulumi that is still at work here is waited for: it may have outlived the make that started it.
 * Another machine's lock stays, and `pulumi up` then names its owner.
 */
export async function releaseStack(step: Step, env: Record<string, string>): Promise<boolean> {
	const owners = async () => {
		const locks = await Array.fromAsync(glob(join(paths.state, ".pulumi/locks/**/*.json")));
		const texts = await Promise.all(locks.map((lock) => readFile(lock, "utf8").catch(() => undefined)));
		return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as LockOwner);
	};
	await until("the pulumi that is at work on the lab's stack has ended", 600, async () => {
		const here = (await owners()).filter((owner) => owner.hostname === hostname());
		return !(await Promise.all(here.map(({ pid }) => runs(pid, "pulumi")))).some(Boolean);
	});
	const left = await owners();
	if (left.length === 0 || left.some((owner) => owner.hostname !== hostname())) return false;
	await step.run("pulumi", ["cancel", "--yes", "--stack", STACK], { cwd: checkout, env });
	return true;
}

/** As Pulumi writes it into the lock file of a stack. */
interface LockOwner {
	pid: number;
	hostname: string;
}

/** A digest of the file without its first comment. */
function digestOf(text: string): string {
	return createHash("sha256")
		.update(text.replace(/^#.*\n/, ""))
		.digest("hex")
		.slice(0, 16);
}
