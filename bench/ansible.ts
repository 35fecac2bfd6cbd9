/** Ansible playbooks for the files that this program has on the lab's hosts, as somebody who writes them by hand would have them. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import type { RenderedFiles } from "../host/managedFile.ts";

/** Hosts that have the same files. */
export interface Play {
	/** As the SSH config calls them. */
	hosts: string[];
	files: RenderedFiles;
	/** What is run on them, in this order, where a file was changed: the arguments of ansible.builtin.shell. */
	handlers?: Record<string, unknown>[];
}

/** A playbook on disk. */
export interface Playbook {
	/** Runs it, with what else ansible-playbook is to be told. */
	command(options?: string): string;
	/** One connection a host (pipelining, ControlPersist), all hosts at once. */
	env: Record<string, string>;
}

/**
 * Writes one into a folder, which must exist. The content of the files is what the first host of a play has now. Throws
 * where there is no ansible-playbook.
 */
export function writePlaybook(folder: string, sshConfig: string, plays: Play[]): Playbook {
	try {
		execFileSync("ansible-playbook", ["--version"], { stdio: "ignore" });
	} catch {
		throw new Error("there is no ansible-playbook on PATH: install Debian's ansible-core");
	}
	const playbook = plays.map(({ hosts, files, handlers = [] }) => {
		const [first = ""] = hosts;
		const whole = Object.entries(files).filter(([, { yamlPath }]) => yamlPath === undefined);
		const tasks = whole.map(([path, { mode, owner }]) => {
			const source = join(folder, first, path);
			mkdirSync(dirname(source), { recursive: true });
			writeFileSync(source, execFileSync("ssh", ["-F", sshConfig, first, `cat '${path}'`]));
			chmodSync(source, 0o600);
			const [user, group] = owner.split(":");
			const copy = { src: source, dest: path, mode, owner: user, group };
			return { name: path, "ansible.builtin.copy": copy, notify: handlers.map((_, i) => `handler ${i}`) };
		});
		// Without no_log, Ansible writes the arguments into the host's journal, a password among them.
		const named = handlers.map((shell, i) => ({ name: `handler ${i}`, "ansible.builtin.shell": shell, no_log: true }));
		return { hosts: hosts.join(":"), gather_facts: false, tasks, handlers: named };
	});
	const all = plays.flatMap(({ hosts }) => hosts);
	writeFileSync(join(folder, "playbook.yaml"), stringify(playbook));
	writeFileSync(join(folder, "hosts"), `${all.join("\n")}\n`);
	const env = {
		ANSIBLE_PIPELINING: "True",
		ANSIBLE_FORKS: String(all.length),
		ANSIBLE_SSH_ARGS: `-F ${sshConfig} -o ControlMaster=auto -o ControlPersist=60s`,
		ANSIBLE_PYTHON_INTERPRETER: "/usr/bin/python3",
		ANSIBLE_LOCALHOST_WARNING: "False",
	};
	const command = (options = "") =>
		`ansible-playbook --inventory '${folder}/hosts' ${options} '${folder}/playbook.yaml'`;
	return { command, env };
}
