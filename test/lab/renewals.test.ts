/** What is renewed in the course of a year: the certificate, the registry's password, a login key by hand, CI's login. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { loginByKubernetes } from "../../components/vault.ts";
import { STACK } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import {
	begin,
	type Containers,
	containers,
	env,
	leave,
	onVm,
	pulumi,
	restarted,
	run,
	type Variant,
	variant,
} from "./lab.ts";

let folder: string;
let changed: Variant;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "renewals-test-"));
	await begin();
	changed = await variant();
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await rm(folder, { recursive: true });
	await leave();
});

const vaultCli = (...args: string[]) => run("vault", args);
const kubectl = (...args: string[]) => run("kubectl", args);

describe("CI's login to Vault", () => {
	const tokenOf = async (account: string) => {
		const { stdout } = await kubectl("--namespace", "woodpecker", "create", "token", account);
		const file = join(folder, `token-${account}`);
		await writeFile(file, stdout, { mode: 0o600 });
		return file;
	};

	// That it is enough for pulumi: pipelines.test.ts, where CI deploys with it.
	it("as the pod's service account gives a token that reads what it has to, and changes nothing else", async () => {
		const token = await loginByKubernetes("ci", await tokenOf("default"));
		const as = (...command: string[]) => run("vault", command, { env: { VAULT_TOKEN: token } });
		expect((await as("kv", "get", "secret/woodpecker/registry_ssh_key")).exitCode).toBe(0);
		expect((await as("kv", "put", "secret/woodpecker/another", "a=b")).output).toContain("permission denied");
		expect((await as("kv", "delete", "secret/woodpecker/registry_ssh_key")).output).toContain("permission denied");
	});

	it("of another service account, and of a role that there is not, is refused with Vault's words", async () => {
		await kubectl("--namespace", "woodpecker", "create", "serviceaccount", "stranger");
		const stranger = await tokenOf("stranger");
		await kubectl("--namespace", "woodpecker", "delete", "serviceaccount", "stranger");
		await expect(loginByKubernetes("ci", stranger)).rejects.toThrow(/logging in with the role ci: 403/);
		await expect(loginByKubernetes("cd", await tokenOf("default"))).rejects.toThrow(/role "cd"|role name/);
	});
});

describe("a login key that was set by hand", () => {
	beforeAll(async () => {
		await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "stranger")]);
	});
	afterEach(async () => {
		await changed.reset();
		// The key that is let in has not been taken out for it.
		expect((await run("ssh", ["-F", env("LAB_SSH_CONFIG"), "pve", "hostname"])).stdout).toBe("pve");
	});

	it("and that its host does not let in, is copied over no other, whether the state knows of that one or not", async () => {
		const path = "secret/woodpecker/pve_ssh_key";
		const copy = async () => JSON.parse((await vaultCli("kv", "get", "-format=json", path)).stdout).data.data;
		const before = await copy();
		await updateWithStranger();
		expect(await copy()).toEqual(before);
		const { stdout } = await run("pulumi", ["stack", "--stack", STACK, "--show-urns"], { cwd: changed.folder });
		const urn = stdout.match(/urn:\S+::key-pve-copy/)?.[0] as string;
		await run("pulumi", ["state", "delete", urn, "--stack", STACK, "--yes"], { cwd: changed.folder });
		await updateWithStranger();
		expect(await copy()).toEqual(before);
	});

	it("and that its host does not let in, becomes nobody's first copy", async () => {
		await vaultCli("kv", "metadata", "delete", "secret/woodpecker/never");
		await changed.configure((config) => {
			const { pve } = config["homelab-registry:hosts"] as { pve: { key?: object } };
			pve.key = { ...pve.key, vault: "woodpecker/never", secret: { name: "never", events: ["push"] } };
		});
		await updateWithStranger();
		expect((await vaultCli("kv", "metadata", "get", "secret/woodpecker/never")).output).toContain("No value found");
		const headers = { authorization: `Bearer ${env("LAB_WOODPECKER_TOKEN")}` };
		const answer = await fetch(`${env("LAB_WOODPECKER")}/api/repos/1/secrets/never`, { headers });
		expect(answer.status).toBe(404);
	});

	async function updateWithStranger(): Promise<void> {
		const set = ["config", "set", "--stack", STACK, "--secret", "--path", "sshPrivateKeys.pve"];
		await run("pulumi", set, { cwd: changed.folder, input: await readFile(join(folder, "stranger"), "utf8") });
		const { exitCode, output } = await changed.up();
		expect(output).toContain("stay as they are, and none is made, because it is not proved that it lets the key in");
		expect(exitCode).not.toBe(0);
	}
});

describe("the certificate, read from Vault at each run", () => {
	const openssl = (args: string) => run("openssl", args.split(" "), { cwd: folder });
	const inVault = (certificate: string, key: string) =>
		vaultCli("kv", "put", "secret/tls", `certificate=@${certificate}`, `private_key=@${key}`);
	const shown = async () => {
		const ask = `openssl s_client -connect 127.0.0.1:5050 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256`;
		return (await onVm(ask)).trim();
	};
	let before: Containers;

	beforeAll(async () => {
		await inVault(join(paths.keys, "registry.pem"), join(paths.keys, "registry.key"));
		await changed.configure((config) => {
			delete config["homelab-registry:tlsCertificate"];
			delete config["homelab-registry:tlsPrivateKey"];
			config["homelab-registry:tlsFrom"] = { vault: { path: "tls" } };
		});
		before = await containers();
	});

	it("a renewed one reaches the VM by the next update, nginx restarts and nobody else, and the probe is told", async () => {
		const ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
		await openssl(`req ${ec} -subj /CN=renewed -keyout renewed.key -out renewed.csr`);
		const names = "subjectAltName=DNS:registry.viktorbarzin.me,DNS:localhost,IP:127.0.0.1\n";
		await writeFile(join(folder, "renewed.ext"), names);
		const ca = ["ca.pem", "ca.key"].map((name) => join(paths.keys, name));
		await openssl(
			`x509 -req -in renewed.csr -CA ${ca[0]} -CAkey ${ca[1]} -set_serial 77 -days 90 -extfile renewed.ext -out renewed.pem`,
		);
		const fingerprint = (await openssl("x509 -noout -fingerprint -sha256 -in renewed.pem")).stdout.trim();
		await inVault(join(folder, "renewed.pem"), join(folder, "renewed.key"));
		const { exitCode, output } = await changed.up();
		expect(exitCode, output).toBe(0);
		expect(await shown()).toBe(fingerprint);
		expect(restarted(before, await containers())).toEqual(["registry-nginx"]);
		const again = await pulumi(["preview", "--expect-no-changes", "--stack", STACK], changed.folder);
		expect(again.exitCode, again.output).toBe(0);
		const cronJob = ["--namespace", "monitoring", "get", "cronjob", "registry-integrity-probe", "--output", "yaml"];
		expect((await kubectl(...cronJob)).stdout).toContain(fingerprint.split("=")[1]);
	});

	it("a key in the stack's file that is not encrypted is refused", async () => {
		const other = await variant();
		await other.configure((config) =>
			Object.assign(config, { "homelab-registry:tlsPrivateKey": "-----BEGIN PRIVATE KEY-----" }),
		);
		const { exitCode, output } = await pulumi(["preview", "--stack", STACK], other.folder);
		await other[Symbol.asyncDispose]();
		expect(exitCode).not.toBe(0);
		expect(output).toContain("tlsPrivateKey: is not encrypted in the stack's file");
	});

	it("one that is not the key's, and an entry that is gone, are refused before anything is reached", async () => {
		await inVault(join(paths.keys, "registry.pem"), join(folder, "renewed.key"));
		const mixed = await pulumi(["preview", "--stack", STACK], changed.folder);
		expect(mixed.exitCode).not.toBe(0);
		expect(mixed.output).toContain("tlsPrivateKey is not the key of tlsCertificate");
		await vaultCli("kv", "metadata", "delete", "secret/tls");
		const gone = await pulumi(["preview", "--stack", STACK], changed.folder);
		expect(gone.exitCode).not.toBe(0);
		expect(gone.output).toContain("tlsFrom.vault: Vault has nothing at secret/tls");
		expect(gone.output).not.toMatch(/\n\s+at .*\.ts:/);
	});
});

describe("npm run rotate-password", () => {
	const rotate = (...args: string[]) =>
		run("node", ["scripts/rotatePassword.ts", "--stack", STACK, ...args], { cwd: changed.folder });
	const login = (password: string) =>
		run(
			"curl",
			[
				"--silent",
				"--output",
				"/dev/null",
				"--write-out",
				"%{http_code}",
				"--cacert",
				env("LAB_REGISTRY_CA"),
				"--config",
				"-",
				`https://${env("LAB_REGISTRY")}/v2/`,
			],
			{
				input: `user = "${env("LAB_REGISTRY_USER")}:${password}"\n`,
			},
		);
	const held = (field: string) => vaultCli("kv", "get", `-field=${field}`, "secret/ci/global");

	beforeAll(async () => {
		await changed.reset();
		await vaultCli("kv", "put", "secret/ci/global", `registry_password=${env("LAB_REGISTRY_PASSWORD")}`, "mine=kept");
		await changed.configure((config) => {
			const vault = config["homelab-registry:vault"] as object;
			Object.assign(vault, { registryPassword: [{ path: "ci/global" }] });
		});
		const registry = "--docker-server=registry.viktorbarzin.me:5050";
		const create = [
			"--namespace",
			"woodpecker",
			"create",
			"secret",
			"docker-registry",
			"registry-credentials",
			registry,
		];
		await kubectl(...create, "--docker-username=user", "--docker-password=old");
	});
	afterAll(async () => {
		await kubectl("--namespace", "woodpecker", "delete", "secret", "registry-credentials");
		await vaultCli("kv", "metadata", "delete", "secret/ci/global");
	});

	it("--dry-run says what it would do, and changes nothing", async () => {
		const before = await readFile(join(changed.folder, `Pulumi.${STACK}.yaml`), "utf8");
		const { exitCode, output } = await rotate("--dry-run");
		expect(exitCode, output).toBe(0);
		expect(output).toContain("would: write it to Vault: secret/ci/global (registry_password)");
		expect(await readFile(join(changed.folder, `Pulumi.${STACK}.yaml`), "utf8")).toBe(before);
	});

	it("the registry takes the new one and not the old one, Vault has it, and who still has the old one is named", async () => {
		const { exitCode, output } = await rotate();
		expect(exitCode, output).toBe(0);
		const password = (await held("registry_password")).stdout;
		expect(password).toHaveLength(32);
		expect((await held("mine")).stdout).toBe("kept");
		expect((await login(password)).stdout).toBe("200");
		expect((await login(env("LAB_REGISTRY_PASSWORD"))).stdout).toBe("401");
		expect(output).toContain("the pull secret woodpecker/registry-credentials, for registry.viktorbarzin.me:5050");
		for (const secret of [password, env("LAB_REGISTRY_PASSWORD")]) expect(output).not.toContain(secret);
	});

	it("one that was cut off before Vault had it goes on with the same password", async () => {
		const password = (await held("registry_password")).stdout;
		await vaultCli("kv", "patch", "secret/ci/global", `registry_password=${env("LAB_REGISTRY_PASSWORD")}`);
		const { exitCode, output } = await rotate();
		expect(exitCode, output).toBe(0);
		expect(output).toContain("go on with the password that the stack's config has");
		expect((await held("registry_password")).stdout).toBe(password);
	});

	it("an entry that is not there is named, and nothing is changed", async () => {
		await changed.configure((config) => {
			const vault = config["homelab-registry:vault"] as object;
			Object.assign(vault, { registryPassword: [{ path: "ci/none" }] });
		});
		const { exitCode, output } = await rotate();
		expect(exitCode).toBe(1);
		expect(output).toContain("secret/ci/none (registry_password) is not there");
	});
});
