/** The lab's keys, certificates and passwords, made once a lab. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { kubernetes, privateRegistry, proxmox, registryVm } from "./estate.ts";
import { paths } from "./paths.ts";
import type { Step } from "./run.ts";

export interface Keys {
	/** The pair that logs in to the registry VM and the cluster's machine. */
	login: { private: string; public: string; privatePath: string };
	/** The pair that logs in to the Proxmox host. */
	proxmoxLogin: { private: string; public: string; privatePath: string };
	/** The registry VM's own pair. */
	host: { private: string; public: string };
	/** The CA that signed the private registry's certificate. */
	caPath: string;
	certificate: string;
	certificateKey: string;
	registry: { user: string; password: string };
	/** The Kubernetes cluster's; `kubeconfig` is an administrator's, from this machine. */
	kubernetes: {
		certificate: string;
		certificateKey: string;
		serviceAccountKey: string;
		token: string;
		kubeconfig: string;
	};
	dockerhub: { username: string; password: string };
	/** Vault's certificate, and the token that may do everything there. */
	vault: { certificate: string; certificateKey: string; token: string };
	/** Of an administrator of the repository. */
	woodpecker: { token: string };
}

const path = (name: string) => join(paths.keys, name);
const text = (name: string) => readFile(path(name), "utf8");

/** Makes what is missing; each file appears whole or not at all. */
export async function makeKeys(step: Step): Promise<Keys> {
	await mkdir(paths.keys, { recursive: true, mode: 0o700 });
	await sshPair(step, "login", "woodpecker-registry-config-sync");
	await sshPair(step, "proxmox-login", "woodpecker-pve-nfs-exports-sync");
	await sshPair(step, "host", registryVm.hostname);
	await certificateAuthority(step);
	await certificate(step, "registry", `DNS:${privateRegistry.hostname},DNS:localhost,IP:127.0.0.1`);
	await certificate(step, "kubernetes", `IP:${kubernetes.address},IP:127.0.0.1,DNS:localhost`);
	await certificate(step, "vault", "IP:127.0.0.1,DNS:localhost");
	await serviceAccountKey(step);
	const made = [
		"registry-password",
		"dockerhub-password",
		"kubernetes-token",
		"vault-root-token",
		"woodpecker-api-token",
	];
	for (const name of made) {
		if (!(await exists(path(name)))) await writeWhole(path(name), randomBytes(18).toString("base64url"));
	}
	await writeWhole(
		kubeconfigPath,
		kubeconfig(`https://127.0.0.1:${kubernetes.port}`, await text("ca.pem"), await text("kubernetes-token")),
	);
	await sshConfig();
	return readKeys();
}

/** Reads what `makeKeys` made. */
export async function readKeys(): Promise<Keys> {
	return {
		login: { private: await text("login"), public: (await text("login.pub")).trim(), privatePath: path("login") },
		proxmoxLogin: {
			private: await text("proxmox-login"),
			public: (await text("proxmox-login.pub")).trim(),
			privatePath: path("proxmox-login"),
		},
		host: { private: await text("host"), public: (await text("host.pub")).trim().split(" ").slice(0, 2).join(" ") },
		caPath: path("ca.pem"),
		certificate: await text("registry.pem"),
		certificateKey: await text("registry.key"),
		kubernetes: {
			certificate: await text("kubernetes.pem"),
			certificateKey: await text("kubernetes.key"),
			serviceAccountKey: await text("service-account.key"),
			token: await text("kubernetes-token"),
			kubeconfig: await text("kubeconfig"),
		},
		registry: { user: "lab", password: await text("registry-password") },
		dockerhub: { username: "lab-account", password: await text("dockerhub-password") },
		vault: {
			certificate: await text("vault.pem"),
			certificateKey: await text("vault.key"),
			token: await text("vault-root-token"),
		},
		woodpecker: { token: await text("woodpecker-api-token") },
	};
}

/** For `kubectl`, as an administrator. */
export const kubeconfigPath = path("kubeconfig");

/** For `ssh -F`: the machines by name, their host keys pinned. */
export const sshConfigPath = path("ssh_config");

async function sshConfig(): Promise<void> {
	const { host } = await readKeys();
	const machines = {
		registry: { port: registryVm.sshPort, key: "login" },
		[proxmox.hostname]: { port: proxmox.sshPort, key: "proxmox-login" },
	};
	const ports = Object.values(machines).map(({ port }) => port);
	await writeWhole(path("known_hosts"), ports.map((port) => `[127.0.0.1]:${port} ${host.public}\n`).join(""));
	// The default of OpenSSH withstands quantum computers, and costs each of some thousand logins 0.1 s.
	const entries = Object.entries(machines).map(
		([name, { port, key }]) => `Host ${name}
	HostName 127.0.0.1
	Port ${port}
	User root
	IdentityFile ${path(key)}
	IdentitiesOnly yes
	UserKnownHostsFile ${path("known_hosts")}
	StrictHostKeyChecking yes
	KexAlgorithms curve25519-sha256
`,
	);
	await writeWhole(sshConfigPath, entries.join("\n"));
}

async function sshPair(step: Step, name: string, comment: string): Promise<void> {
	if (await exists(path(`${name}.pub`))) return;
	await step.run("sh", ["-c", `rm -f ${path(name)} && ssh-keygen -q -t ed25519 -N '' -C ${comment} -f ${path(name)}`]);
}

const EC = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
const openssl = (step: Step, args: string) => step.run("openssl", args.split(" "), { cwd: paths.keys });

async function certificateAuthority(step: Step): Promise<void> {
	if (await exists(path("ca.pem"))) return;
	await openssl(step, `req -x509 ${EC} -days 3650 -subj /CN=lab-ca -keyout ca.key -out ca.half`);
	await rename(path("ca.half"), path("ca.pem"));
}

/** A certificate of the lab's CA, with that one behind it. */
async function certificate(step: Step, name: string, alternatives: string): Promise<void> {
	if (await exists(path(`${name}.pem`))) return;
	await openssl(step, `req ${EC} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`);
	await writeWhole(path(`${name}.ext`), `subjectAltName=${alternatives}\n`);
	const sign = `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 800`;
	await openssl(step, `${sign} -extfile ${name}.ext -out ${name}.crt`);
	await writeWhole(path(`${name}.pem`), `${await text(`${name}.crt`)}${await text("ca.pem")}`);
}

async function serviceAccountKey(step: Step): Promise<void> {
	if (await exists(path("service-account.key"))) return;
	await openssl(step, "genrsa -out service-account.half 2048");
	await rename(path("service-account.half"), path("service-account.key"));
}

/** For an administrator of the cluster, who finds it at that URL. */
export function kubeconfig(server: string, ca: string, token: string): string {
	return stringify({
		apiVersion: "v1",
		kind: "Config",
		clusters: [{ name: "lab", cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
		users: [{ name: "admin", user: { token } }],
		contexts: [{ name: "lab", context: { cluster: "lab", user: "admin" } }],
		"current-context": "lab",
	});
}

async function writeWhole(target: string, content: string): Promise<void> {
	await writeFile(`${target}.half`, content, { mode: 0o600 });
	await rename(`${target}.half`, target);
}

async function exists(file: string): Promise<boolean> {
	return stat(file).then(
		() => true,
		() => false,
	);
}
