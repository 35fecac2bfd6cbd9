/** A host's login key: let in, copied to Vault and Woodpecker, kept so, got back, and rotated. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readEntry, writeEntry } from "../../components/vault.ts";
import { proxmox, STACK, vault } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { begin, docker, drift, env, hostConfig, leave, pulumi, run, up, type Variant, variant } from "./lab.ts";

const ENTRY = "secret/woodpecker/registry_ssh_key";
const PVE_ENTRY = "secret/woodpecker/pve_ssh_key";
const AUTHORIZED = "/root/.ssh/authorized_keys";
let folder: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "credentials-test-"));
	await begin();
});
afterAll(async () => {
	await leave();
	await rm(folder, { recursive: true });
});

/** Vault's own program. */
const vaultCli = (...args: string[]) => run("vault", args);

async function entry(path = ENTRY): Promise<{ data: Record<string, string>; metadata: { version: number } }> {
	const { stdout } = await vaultCli("kv", "get", "-format=json", path);
	return JSON.parse(stdout).data;
}

async function woodpecker(method: string, path: string, body?: object): Promise<unknown> {
	const headers = { authorization: `Bearer ${env("LAB_WOODPECKER_TOKEN")}` };
	const options = { method, headers, ...(body && { body: JSON.stringify(body) }) };
	const response = await fetch(`${env("LAB_WOODPECKER")}/api/repos/1${path}`, options);
	return response.status === 204 ? undefined : response.json();
}

const onVm = (command: string) => run("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", command]);

describe("the copy in Vault", () => {
	it("is the key as ssh takes it, its public half, and the host's line for known_hosts; what is beside it stays", async () => {
		await vaultCli("kv", "put", "secret/woodpecker", "mine=kept");
		const { data } = await entry();
		expect(Object.keys(data).sort()).toEqual(["known_hosts_entry", "private_key", "public_key"]);
		expect(data["private_key"]).toBe(await readFile(join(paths.keys, "login"), "utf8"));
		expect(data["public_key"]).toBe((await readFile(join(paths.keys, "login.pub"), "utf8")).trim());
		expect(await readFile(join(paths.keys, "known_hosts"), "utf8")).toContain(`${data["known_hosts_entry"]}\n`);
		expect((await vaultCli("kv", "get", "-field=mine", "secret/woodpecker")).stdout).toBe("kept");
	});

	it("changed by hand, or deleted, is seen and written anew, as a new version; old ones stay", async () => {
		const copies = [ENTRY, PVE_ENTRY];
		const before = await Promise.all(copies.map(entry));
		await vaultCli("kv", "patch", ENTRY, "public_key=another", "extra=1");
		await vaultCli("kv", "delete", PVE_ENTRY);
		const found = await drift();
		expect(found.exitCode).not.toBe(0);
		for (const shown of ["key-docker-registry-copy", "key-pve-copy"]) expect(found.output).toContain(shown);
		await up();
		for (const [i, path] of copies.entries()) {
			const [{ data, metadata }, after] = [before[i] as Awaited<ReturnType<typeof entry>>, await entry(path)];
			expect(after.data).toEqual(data);
			expect(after.metadata.version).toBeGreaterThan(metadata.version);
			const old = await vaultCli("kv", "get", "-format=json", `-version=${metadata.version}`, path);
			expect(JSON.parse(old.stdout).data.metadata.version).toBe(metadata.version);
		}
		expect((await drift()).exitCode).toBe(0);
	});

	it("that Vault has as declared, and the state has lost, is taken over", async () => {
		const { stdout } = await pulumi(["stack", "--show-urns", "--stack", STACK]);
		const urn = /urn:\S+::key-docker-registry-copy/.exec(stdout)?.[0] as string;
		expect((await pulumi(["state", "delete", urn, "--target-dependents", "--yes", "--stack", STACK])).exitCode).toBe(0);
		await up();
		expect((await drift()).exitCode).toBe(0);
	});

	it("is not written over another version than the one that was read", async () => {
		const { version } = await readEntry("secret", "woodpecker");
		await expect(writeEntry("secret", "woodpecker", { mine: "lost" }, version - 1)).rejects.toThrow(
			"somebody else wrote it meanwhile",
		);
		expect((await readEntry("secret", "woodpecker")).data).toEqual({ mine: "kept" });
	});

	it("its policies let one write this entry and no other, and one read it and no more", async () => {
		const as = async (policy: string, ...args: string[]) => {
			const { stdout } = await vaultCli("token", "create", "-format=json", `-policy=${policy}`, "-no-default-policy");
			const { client_token } = JSON.parse(stdout).auth;
			return (await run("vault", args, { env: { VAULT_TOKEN: client_token } })).exitCode;
		};
		const [writer, reader] = ["key-docker-registry-writer", "key-docker-registry-reader"];
		const path = ENTRY.replace("secret/", "secret/data/");
		expect(await as(reader, "read", path)).toBe(0);
		expect(await as(reader, "write", path, "data={}")).not.toBe(0);
		expect(await as(reader, "read", "secret/data/woodpecker/pve_ssh_key")).not.toBe(0);
		expect(await as(writer, "read", path)).toBe(0);
		expect(await as(writer, "write", "secret/data/woodpecker/pve_ssh_key", "data={}")).not.toBe(0);
		expect(await as(writer, "delete", path)).not.toBe(0);
		expect(await as(writer, "read", `sys/policies/acl/${writer}`)).toBe(0);
	});
});

describe("a Vault that can't be written to ends the update with what to do, and changes nothing", () => {
	it("sealed", async () => {
		const logs = await docker("logs", vault.container);
		// It has another one after each start.
		const key = [...logs.output.matchAll(/Unseal Key: (\S+)/g)].at(-1)?.[1] as string;
		await vaultCli("operator", "seal");
		const { exitCode, output } = await pulumi(["preview", "--stack", STACK]);
		const recover = await run("node", [
			"scripts/recoverKey.ts",
			"docker-registry",
			join(folder, "x"),
			"--stack",
			STACK,
		]);
		expect((await vaultCli("operator", "unseal", key)).stdout).toMatch(/Sealed +false/);
		expect(exitCode).not.toBe(0);
		expect(output).toContain("Vault is sealed");
		expect(recover.exitCode).toBe(1);
		expect(recover.output).toContain("unseal it");
	});

	it("a mount that there is not", async () => {
		await expect(readEntry("nowhere", "x")).rejects.toThrow("there is no mount there");
	});

	it("a token that is over", async () => {
		const { exitCode, output } = await pulumi(["preview", "--stack", STACK], undefined, { VAULT_TOKEN: "s.over" });
		expect(exitCode).not.toBe(0);
		expect(output).toMatch(/permission denied|invalid token/);
	});
});

describe("the line in authorized_keys", () => {
	const strangers = `# mine\nssh-rsa AAAAB3old somebody@else\n\tno-pty  ssh-ed25519 AAAAC3odd  woodpecker-registry-config-sync.old\n`;

	it("is put back where it was changed; every other line, the mode and the owner stay", async () => {
		const before = (await onVm(`cat ${AUTHORIZED}`)).stdout;
		const own = before.split("\n").find((line) => line.endsWith("woodpecker-registry-config-sync")) as string;
		await onVm(`printf '%s' '${strangers}' >${AUTHORIZED} && printf '%s' 'from="0.0.0.0/0" ${own}' >>${AUTHORIZED}`);
		expect((await drift()).exitCode).not.toBe(0);
		await up();
		expect((await onVm(`cat ${AUTHORIZED}`)).stdout).toBe(`${strangers}${own}`);
		expect((await onVm(`stat -c '%a %U:%G' ${AUTHORIZED}`)).stdout).toBe("600 root:root");
		await onVm(`printf '%s\\n' '${own}' >${AUTHORIZED}`);
		expect((await drift()).exitCode).toBe(0);
	});
});

describe("the secret in Woodpecker", () => {
	it("whose events or images were changed, or that is gone: seen, and put back", async () => {
		const [own, pve] = ["/secrets/registry_ssh_key", "/secrets/pve_ssh_key"];
		const before = await woodpecker("GET", pve);
		await woodpecker("PATCH", own, { events: ["push", "pull_request"], images: ["plugins/docker"] });
		await woodpecker("DELETE", pve);
		const { output } = await drift();
		for (const shown of ["key-docker-registry-woodpecker", "key-pve-woodpecker"]) expect(output).toContain(shown);
		for (const property of ["events", "images"]) expect(output).toMatch(new RegExp(`~ ${property} *:`));
		await up();
		expect(await woodpecker("GET", own)).toMatchObject({ events: ["push", "manual"], images: [] });
		const { events } = before as { events: string[] };
		expect(await woodpecker("GET", pve)).toMatchObject({ events });
	});

	it("the drift run's schedule is kept, too", async () => {
		const crons = await woodpecker("GET", "/cron");
		expect(crons).toEqual([expect.objectContaining({ name: "drift-detection", schedule: "0 4 * * *", enabled: true })]);
	});
});

describe("npm run recover-key", () => {
	it("with nothing but a login to Vault, gives a key that OpenSSH logs in with", async () => {
		const { PATH = "", HOME = "" } = process.env;
		const only = {
			PATH,
			HOME,
			VAULT_ADDR: env("VAULT_ADDR"),
			VAULT_TOKEN: env("VAULT_TOKEN"),
			VAULT_CACERT: env("VAULT_CACERT"),
		};
		const target = join(folder, "with space");
		const args = ["scripts/recoverKey.ts", "docker-registry", target, "--stack", STACK];
		const { exitCode, output, stdout } = await run("node", args, { env: only, extendEnv: false });
		expect(exitCode, output).toBe(0);
		expect(output).not.toContain("PRIVATE KEY");
		expect((await stat(join(target, "docker-registry"))).mode & 0o777).toBe(0o600);
		expect((await run("sh", ["-c", `${stdout} hostname`])).stdout).toBe("docker-registry");
	});

	it("a host without a copy is named, with those that have one", async () => {
		const { exitCode, output } = await run("node", ["scripts/recoverKey.ts", "nas", "--stack", STACK]);
		expect(exitCode).toBe(1);
		expect(output).toContain("those with one are: docker-registry, pve");
	});
});

describe("npm run pin-host-key", () => {
	const pin = (cwd: string, ...args: string[]) =>
		run("node", ["scripts/pinHostKey.ts", "docker-registry", "--stack", STACK, ...args], { cwd });

	it("shows what is offered beside what is pinned, and pins only what the console shows", async () => {
		const laptop = await variant();
		const file = join(laptop.folder, `Pulumi.${STACK}.yaml`);
		const own = await readFile(file, "utf8");
		const atConsole = (await onVm("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key")).stdout.split(" ")[1] as string;

		const same = await pin(laptop.folder);
		expect(same.exitCode, same.output).toBe(0);
		expect(same.output).toContain(`offers     ${atConsole}`);
		expect(same.output).toContain("It is the one that is pinned");

		await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "impostor")]);
		const [type, key] = (await readFile(join(folder, "impostor.pub"), "utf8")).split(" ");
		await laptop.configure((config) =>
			Object.assign(hostConfig(config, "docker-registry"), { hostKey: `${type} ${key}` }),
		);
		const changed = await readFile(file, "utf8");
		const nobody = await pin(laptop.folder);
		expect(nobody.exitCode).toBe(1);
		expect(nobody.output).toContain("nobody can be asked here");
		const wrong = await pin(laptop.folder, "--fingerprint", "SHA256:other");
		expect(wrong.exitCode).toBe(1);
		expect(wrong.output).toContain("somebody else answers at 127.0.0.1");
		expect(await readFile(file, "utf8")).toBe(changed);

		const right = await pin(laptop.folder, "--fingerprint", atConsole);
		expect(right.exitCode, right.output).toBe(0);
		const pinned = (text: string) => hostConfig(parse(text).config, "docker-registry")["hostKey"];
		expect(pinned(await readFile(file, "utf8"))).toBe(pinned(own));
		await laptop[Symbol.asyncDispose]();
	});
});

describe("npm run rotate-key", () => {
	let laptop: Variant;
	const rotate = (...args: string[]) => ["scripts/rotateKey.ts", "pve", "--stack", STACK, ...args];
	const tool = (...args: string[]) => run("node", rotate(...args), { cwd: laptop.folder });
	const held = () => vaultCli("kv", "get", "-field=private_key", "secret/woodpecker/pve_ssh_key");
	const letsIn = (key: string) => run("ssh", ["-F", "none", "-i", key, ...host, "true"]);
	const host = [
		...[
			"-o",
			"BatchMode=yes",
			"-o",
			"IdentitiesOnly=yes",
			"-o",
			`UserKnownHostsFile=${join(paths.keys, "known_hosts")}`,
		],
		...["-p", String(proxmox.sshPort), "root@127.0.0.1"],
	];
	const old = join(paths.keys, "proxmox-login");

	beforeAll(async () => {
		laptop = await variant();
	});
	afterAll(async () => {
		// Back to the lab's own key: a rotation that was begun with it.
		const next = await readFile(old, "utf8");
		const set = ["config", "set", "--stack", STACK, "--secret", "--path", 'sshPrivateKeys["pve.next"]'];
		await run("pulumi", set, { cwd: laptop.folder, input: next });
		const { exitCode, output } = await tool();
		await laptop[Symbol.asyncDispose]();
		expect(exitCode, output).toBe(0);
	});

	it("--dry-run says what it would do, and does nothing", async () => {
		const before = await readFile(join(laptop.folder, `Pulumi.${STACK}.yaml`), "utf8");
		const { exitCode, output } = await tool("--dry-run");
		expect(exitCode).toBe(0);
		expect(output).toContain("would: log in with what Vault has");
		expect(await readFile(join(laptop.folder, `Pulumi.${STACK}.yaml`), "utf8")).toBe(before);
	});

	it("killed in each step, a key that somebody has is let in; run again, it finishes", async () => {
		for (const said of ["1/5", "2/5", "3/5", "refreshing", "5/5"]) {
			const child = spawn("node", rotate(), {
				cwd: laptop.folder,
				detached: true,
				stdio: ["ignore", "ignore", "pipe"],
			});
			let printed = "";
			for await (const part of child.stderr.setEncoding("utf8")) {
				printed += part;
				if (printed.includes(said)) break;
			}
			expect(printed).toContain(said);
			process.kill(-(child.pid as number), "SIGKILL");
			if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
			const copy = join(folder, "copy");
			await writeFile(copy, `${(await held()).stdout.trimEnd()}\n`, { mode: 0o600 });
			expect((await letsIn(copy)).exitCode, said).toBe(0);
			// The old one goes with the update.
			if (said !== "5/5") expect((await letsIn(old)).exitCode, said).toBe(0);
			if (said === "refreshing") await pulumi(["cancel", "--yes", "--stack", STACK], laptop.folder);
		}

		const { exitCode, output } = await tool();
		expect(exitCode, output).toBe(0);
		expect(output).toContain("go on with the key of the rotation that was begun");
		const recovered = await run("node", ["scripts/recoverKey.ts", "pve", folder, "--stack", STACK], {
			cwd: laptop.folder,
		});
		expect((await run("sh", ["-c", `${recovered.stdout} hostname`])).stdout).toBe("pve");
		expect((await letsIn(old)).output).toContain("Permission denied");
		for (const secret of [await readFile(old, "utf8"), (await held()).stdout])
			for (const line of secret.split("\n").filter((text) => text.length > 60)) expect(output).not.toContain(line);
		const lines = (await run("sh", ["-c", `${recovered.stdout} 'cat ${AUTHORIZED}'`])).stdout.split("\n");
		expect(lines).toEqual([expect.stringMatching(/^ssh-ed25519 \S+ woodpecker-pve-nfs-exports-sync$/)]);
	});

	it("another laptop, with the file that was committed, sees nothing to do", async () => {
		const args = ["preview", "--expect-no-changes", "--stack", STACK];
		const { exitCode, output } = await pulumi(args, laptop.folder);
		expect(exitCode, output).toBe(0);
	});

	it("a host that goes down in the middle lets both keys in, and is named; run again, it finishes", async () => {
		const former = join(folder, "former");
		await writeFile(former, `${(await held()).stdout.trimEnd()}\n`, { mode: 0o600 });
		const child = spawn("node", rotate(), { cwd: laptop.folder, stdio: ["ignore", "ignore", "pipe"] });
		let said = "";
		let paused: Promise<unknown> | undefined;
		child.stderr.setEncoding("utf8").on("data", (part: string) => {
			said += part;
			if (part.includes("refreshing")) paused ??= docker("pause", proxmox.container);
		});
		const [code] = await once(child, "close");
		await paused;
		await docker("unpause", proxmox.container);
		expect(code, said).toBe(1);
		expect(said).toMatch(/pve lets both keys in until it is|pve.*can't be reached/);
		expect((await letsIn(former)).exitCode).toBe(0);
		const { exitCode, output } = await tool();
		expect(exitCode, output).toBe(0);
		expect((await letsIn(former)).output).toContain("Permission denied");
		const now = join(folder, "now");
		await writeFile(now, `${(await held()).stdout.trimEnd()}\n`, { mode: 0o600 });
		expect((await letsIn(now)).exitCode).toBe(0);
	});

	it("a host that is down keeps its key, and is named", async () => {
		const before = (await held()).stdout;
		await docker("pause", proxmox.container);
		const { exitCode, output } = await tool();
		await docker("unpause", proxmox.container);
		expect(exitCode).toBe(1);
		expect(output).toMatch(/127\.0\.0\.1 .*can't be reached/);
		expect((await held()).stdout).toBe(before);
		// Nothing was begun.
		const { stdout } = await run("pulumi", ["config", "--json", "--show-secrets", "--stack", STACK], {
			cwd: laptop.folder,
		});
		expect(stdout).not.toContain("pve.next");
	});
});
