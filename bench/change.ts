/** One cache's upstream changed and changed back, with what has to be restarted and verified. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyProgram } from "../lab/copyProgram.ts";
import { registryVm, STACK } from "../lab/estate.ts";
import { readKeys, sshConfigPath } from "../lab/keys.ts";
import { labEnvironment } from "../lab/status.ts";
import { rendered } from "../scripts/rendering.ts";
import { writePlaybook } from "./ansible.ts";
import { compare, type Measured } from "./compare.ts";
import { type Values, writeConfig } from "./program.ts";

/** The two states, in the order in which each way makes them: the lab is as it was at the end. */
const STATES = ["changed", "as before"];

/** By Pulumi and by Ansible's handlers, in turn. Throws where the lab is not up. */
export async function change(rounds: number, folder: string): Promise<Measured[]> {
	const env = await labEnvironment();
	const program = join(folder, "program");
	await copyProgram(program);
	const file = join(program, `Pulumi.${STACK}.yaml`);
	const config = (state: string) => join(folder, `${state}.yaml`);
	const up = "pulumi up --yes --skip-preview --non-interactive --stack";
	const { registry } = await readKeys();
	const handlers = [
		{ cmd: "docker compose up --detach --wait", chdir: "/opt/registry" },
		{ cmd: "docker restart registry-nginx" },
		{ cmd: "sh /opt/registry/bounce.sh verify", stdin: `user = "${registry.user}:${registry.password}"` },
	];
	const playbooks = [];
	for (const state of STATES) {
		writeConfig(config(state), (values) => state === "changed" && withOtherUpstream(values));
		copyFileSync(config(state), file);
		execFileSync("sh", ["-c", `${up} ${STACK}`], {
			cwd: program,
			env: { ...process.env, ...env },
			stdio: ["ignore", "ignore", "inherit"],
		});
		const at = join(folder, `ansible ${state}`);
		mkdirSync(at);
		const files = (await rendered(STACK)).hosts[registryVm.hostname] ?? {};
		playbooks.push(writePlaybook(at, sshConfigPath, [{ hosts: ["registry"], files, handlers }]));
	}
	const ours = STATES.map((state) => `cp '${config(state)}' '${file}' && ${up} ${STACK}`).join(" && ");
	return await compare(
		[
			{ name: "pulumi up", command: `cd '${program}' && ${ours}`, env },
			{
				name: "ansible-playbook with handlers",
				command: playbooks.map((playbook) => playbook.command()).join(" && "),
				...(playbooks[0] && { env: playbooks[0].env }),
			},
		],
		rounds,
	);
}

function withOtherUpstream(values: Values): void {
	const hosts = values["hosts"] as Record<string, { registry: { caches: { name: string; upstream: string }[] } }>;
	for (const cache of hosts[registryVm.hostname]?.registry.caches ?? [])
		if (cache.name === "quay") cache.upstream += "/";
}
