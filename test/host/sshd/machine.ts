/**
 * A machine with a bare sshd and nothing else of the lab: what FileSet has to be able to live with. It has this machine's
 * programs, or those of the release that USERLAND names.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import type { Connection } from "../../../host/ssh.ts";
import { debianProgram } from "../../../lab/debianProgram.ts";
import { freePort } from "../../../lab/freePort.ts";
import { Step, until } from "../../../lab/run.ts";
import { type Userland, userland } from "./userland.ts";

export interface Machine extends AsyncDisposable {
	connection: Connection;
	/** Runs a command under sh; throws unless it ends with 0. Resolves with what it printed. */
	run(command: string, input?: string): Promise<string>;
}

export interface MachineOptions {
	/** Root's login shell, as an absolute path. `/bin/sh` by default. */
	shell?: string;
	/** What root's .bashrc has. Nothing by default. */
	bashrc?: string;
	/** Where that shell's libraries are, for LD_LIBRARY_PATH. This machine's by default. */
	libraries?: string;
	/** A user besides root, who is let in by the same key. None by default. */
	plainUser?: string;
	/** What stands before the key in authorized_keys, for example a forced command. Nothing by default. */
	keyOptions?: string;
}

export async function startMachine({
	shell = "/bin/sh",
	libraries = "",
	bashrc,
	plainUser = "",
	keyOptions = "",
}: MachineOptions = {}): Promise<Machine> {
	const release = process.env["USERLAND"] as Userland | undefined;
	const step = new Step(`sshd-${release ?? "own"}`);
	const root = release ? await userland(step, release) : "";
	const sshd = release
		? { path: "/usr/sbin/sshd", libraries: "" }
		: await debianProgram(step, "/usr/sbin/sshd", ["openssh-server", "libwrap0"]);
	const folder = await mkdtemp(join(tmpdir(), "machine-"));
	const port = await freePort();
	for (const name of ["host", "login"])
		await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", join(folder, name)]);
	const publicKey = async (name: string) => (await readFile(join(folder, `${name}.pub`), "utf8")).trim();
	await writeFile(join(folder, "authorized_keys"), `${keyOptions} ${await publicKey("login")}\n`.trimStart());
	if (bashrc !== undefined) await writeFile(join(folder, "bashrc"), bashrc);
	const settings = [
		...[`Port ${port}`, "ListenAddress 127.0.0.1", `HostKey ${folder}/host`, "PermitRootLogin prohibit-password"],
		...[`AuthorizedKeysFile ${folder}/authorized_keys`, "StrictModes no", "UsePAM no", "PidFile none"],
		...(libraries === "" ? [] : [`SetEnv LD_LIBRARY_PATH=${libraries}`]),
	];
	await writeFile(join(folder, "sshd_config"), `${settings.join("\n")}\n`);
	await chmod(folder, 0o755);
	const args = [
		"--mount",
		"--propagation",
		"private",
		join(import.meta.dirname, "machine.sh"),
		folder,
		shell,
		sshd.path,
		plainUser,
		root,
	];
	const child = spawn("unshare", args, {
		env: { ...process.env, LD_LIBRARY_PATH: sshd.libraries },
		stdio: ["ignore", "ignore", "pipe"],
	});
	let said = "";
	child.stderr.on("data", (chunk) => {
		said += chunk;
	});
	await until("the machine's sshd listens", 20, async () => {
		if (child.exitCode !== null) throw new Error(`the machine's sshd ended: ${said}`);
		return said.includes("Server listening");
	});
	const hostKey = (await publicKey("host")).split(" ").slice(0, 2).join(" ");
	const privateKey = await readFile(join(folder, "login"), "utf8");
	return {
		connection: { host: "127.0.0.1", port, user: "root", privateKey, hostKey },
		// In its namespace, not by its login: what is tested must not be what tells.
		async run(command, input) {
			const inside = ["--mount", "--target", `${child.pid}`, "sh", "-c", command];
			const { stdout, exitCode, all } = await execa("nsenter", inside, {
				all: true,
				reject: false,
				...(input === undefined ? { stdin: "ignore" } : { input }),
			});
			if (exitCode !== 0) throw new Error(`on the machine, "${command}" ended with ${exitCode}: ${all}`);
			return stdout;
		},
		async [Symbol.asyncDispose]() {
			if (child.exitCode === null) {
				child.kill();
				await once(child, "exit");
			}
			await rm(folder, { recursive: true });
		},
	};
}
