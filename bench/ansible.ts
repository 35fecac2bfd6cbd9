/** Ansible playbooks for the files that this program has on the lab's hosts, as somebody who writes them by hand would have them. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import type { RenderedFiles } from "../host/managedFile.ts";
import type { Way } from "./compare.ts";

/** Hosts that have the same files. */
export interface Play {
	/** As the SSH config calls them. */
	hosts: string[];
	files: RenderedFiles;
}

/**
 * The way to look for changes, with one connection a host (pipelining, ControlPersist), all hosts at once. The files'
 * content is taken from the first host of a play, so that nothing is to be done. Throws where there is no ansible-playbook.
 */
export function ansibleCheck(folder: string, sshConfig: string, plays: Play[]): Way {
	try {
		execFileSync("ansible-playbook", ["--version"], { stdio: "ignore" });
	} catch {
		throw new Error("there is no ansible-playbook on PATH: install Debian's ansible-core");
	}
	const playbook = plays.map(({ hosts, files }) => {
		const [first = ""] = hosts;
		const whole = Object.entries(files).filter(([, { yamlPath }]) => yamlPath === undefined);
		const tasks = whole.map(([path, { mode, owner }]) => {
			const source = join(folder, first, path);
			mkdirSync(dirname(source), { recursive: true });
			writeFileSync(source, execFileSync("ssh", ["-F", sshConfig, first, `cat '${path}'`]));
			chmodSync(source, 0o600);
			const [user, group] = owner.split(":");
			return { name: path, "ansible.builtin.copy": { src: source, dest: path, mode, owner: user, group } };
		});
		return { hosts: hosts.join(":"), gather_facts: false, tasks };
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
	const command = `exec ansible-playbook --inventory '${folder}/hosts' --check --diff '${folder}/playbook.yaml'`;
	return { name: "ansible-playbook --check --diff, its files alone", command, env };
}
