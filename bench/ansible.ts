/** An Ansible playbook for the files that this program has on the lab's hosts, as somebody who writes it by hand would have it. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { proxmox, registryVm, STACK } from "../lab/estate.ts";
import { sshConfigPath } from "../lab/keys.ts";
import { rendered } from "../scripts/rendering.ts";
import type { Way } from "./compare.ts";

/** What the hosts are called in the lab's SSH config. */
const ALIASES: Record<string, string> = { [registryVm.hostname]: "registry", [proxmox.hostname]: "pve" };

/**
 * The way to look for changes, with one connection a host (pipelining, ControlPersist). The files' content is taken from
 * the hosts, so that nothing is to be done. Throws where there is no ansible-playbook.
 */
export async function ansibleCheck(folder: string): Promise<Way> {
	try {
		execFileSync("ansible-playbook", ["--version"], { stdio: "ignore" });
	} catch {
		throw new Error("there is no ansible-playbook on PATH: install Debian's ansible-core");
	}
	const { hosts } = await rendered(STACK);
	const plays = Object.entries(hosts).map(([host, files]) => {
		const alias = ALIASES[host] ?? host;
		const whole = Object.entries(files).filter(([, { yamlPath }]) => yamlPath === undefined);
		const tasks = whole.map(([path, { mode, owner }]) => {
			const source = join(folder, alias, path);
			mkdirSync(dirname(source), { recursive: true });
			writeFileSync(source, execFileSync("ssh", ["-F", sshConfigPath, alias, `cat '${path}'`]));
			chmodSync(source, 0o600);
			const [user, group] = owner.split(":");
			return { name: path, "ansible.builtin.copy": { src: source, dest: path, mode, owner: user, group } };
		});
		return { hosts: alias, gather_facts: false, tasks };
	});
	writeFileSync(join(folder, "playbook.yaml"), stringify(plays));
	writeFileSync(join(folder, "hosts"), `${Object.values(ALIASES).join("\n")}\n`);
	const env = {
		ANSIBLE_PIPELINING: "True",
		ANSIBLE_SSH_ARGS: `-F ${sshConfigPath} -o ControlMaster=auto -o ControlPersist=60s`,
		ANSIBLE_PYTHON_INTERPRETER: "/usr/bin/python3",
		ANSIBLE_LOCALHOST_WARNING: "False",
	};
	const command = `exec ansible-playbook --inventory '${folder}/hosts' --check --diff '${folder}/playbook.yaml'`;
	return { name: "ansible-playbook --check --diff, its files alone", command, env };
}
