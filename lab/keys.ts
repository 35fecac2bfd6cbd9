/** The lab's keys, certificates and passwords, made once a lab. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { privateRegistry, registryVm } from "./estate.ts";
import { paths } from "./paths.ts";
import type { Step } from "./run.ts";

export interface Keys {
	/** The pair that logs in to the machines. */
	login: { private: string; public: string; privatePath: string };
	/** The registry VM's own pair. */
	host: { private: string; public: string };
	/** The CA that signed the private registry's certificate. */
	caPath: string;
	certificate: string;
	certificateKey: string;
	registry: { user: string; password: string };
	dockerhub: { username: string; password: string };
}

const path = (name: string) => join(paths.keys, name);

/** Makes what is missing; each file appears whole or not at all. */
export async function makeKeys(step: Step): Promise<Keys> {
	await mkdir(paths.keys, { recursive: true, mode: 0o700 });
	await sshPair(step, "login", "woodpecker-registry-config-sync");
	await sshPair(step, "host", registryVm.hostname);
	await certificates(step);
	for (const name of ["registry-password", "dockerhub-password"]) {
		if (!(await exists(path(name)))) await writeWhole(path(name), randomBytes(18).toString("base64url"));
	}
	await sshConfig();
	return readKeys();
}

/** Reads what `makeKeys` made. */
export async function readKeys(): Promise<Keys> {
	const text = (name: string) => readFile(path(name), "utf8");
	return {
		login: { private: await text("login"), public: (await text("login.pub")).trim(), privatePath: path("login") },
		host: { private: await text("host"), public: (await text("host.pub")).trim().split(" ").slice(0, 2).join(" ") },
		caPath: path("ca.pem"),
		certificate: await text("registry.pem"),
		certificateKey: await text("registry.key"),
		registry: { user: "lab", password: await text("registry-password") },
		dockerhub: { username: "lab-account", password: await text("dockerhub-password") },
	};
}

/** For `ssh -F`: the machines by name, their host keys pinned. */
export const sshConfigPath = path("ssh_config");

async function sshConfig(): Promise<void> {
	const { host } = await readKeys();
	await writeWhole(path("known_hosts"), `[127.0.0.1]:${registryVm.sshPort} ${host.public}\n`);
	await writeWhole(
		sshConfigPath,
		`Host registry
	HostName 127.0.0.1
	Port ${registryVm.sshPort}
	User root
	IdentityFile ${path("login")}
	IdentitiesOnly yes
	UserKnownHostsFile ${path("known_hosts")}
	StrictHostKeyChecking yes
`,
	);
}

async function sshPair(step: Step, name: string, comment: string): Promise<void> {
	if (await exists(path(`${name}.pub`))) return;
	await step.run("sh", ["-c", `rm -f ${path(name)} && ssh-keygen -q -t ed25519 -N '' -C ${comment} -f ${path(name)}`]);
}

async function certificates(step: Step): Promise<void> {
	if (await exists(path("registry.pem"))) return;
	const openssl = (args: string) => step.run("openssl", args.split(" "), { cwd: paths.keys });
	const names = `subjectAltName=DNS:${privateRegistry.hostname},DNS:localhost,IP:127.0.0.1`;
	await openssl(
		"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=lab-ca -keyout ca.key -out ca.pem",
	);
	await openssl(
		"req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=registry -keyout registry.key -out registry.csr",
	);
	await writeWhole(path("registry.ext"), `${names}\n`);
	await openssl(
		"x509 -req -in registry.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 800 -extfile registry.ext -out registry.crt",
	);
	await writeWhole(
		path("registry.pem"),
		`${await readFile(path("registry.crt"), "utf8")}${await readFile(path("ca.pem"), "utf8")}`,
	);
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
