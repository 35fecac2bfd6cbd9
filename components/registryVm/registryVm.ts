import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config.ts";
import { declaredFiles } from "../../host/declaredFiles.ts";
import { onlyTriggers } from "../../host/onlyTriggers.ts";
import { FileSet } from "../../host/resources.ts";
import type { Connection } from "../../host/ssh.ts";
import { BOUNCE, credentials, FILE_SET } from "./bounce.ts";
import { checks } from "./checks.ts";
import { conditions } from "./conditions.ts";
import { registryVmFiles } from "./files.ts";
import { preconditions } from "./preconditions.ts";
import { pushCanary, scan } from "./upkeepFiles.ts";

export interface RegistryVmArgs {
	connection: Connection;
	config: Config;
}

/**
 * The container-registry VM: its files, the bounces they call for, and the proof that each port
 * answers as the registry it should be.
 */
export class RegistryVm extends pulumi.ComponentResource {
	constructor(name: string, { connection, config }: RegistryVmArgs, options?: pulumi.ComponentResourceOptions) {
		super("homelab:registry:RegistryVm", name, {}, options);
		const files = new FileSet(
			name,
			{
				name: FILE_SET,
				connection,
				preconditions,
				checks: checks(config),
				conditions: conditions(config),
				files: declaredFiles(registryVmFiles(config)),
			},
			{ parent: this, protect: config.protect },
		);

		const revision = (group: string) => files.revisions[group] as pulumi.Output<string>;
		const [compose, nginx, systemd] = ["compose", "nginx", "systemd"].map(revision) as [
			pulumi.Output<string>,
			pulumi.Output<string>,
			pulumi.Output<string>,
		];
		const command = (
			suffix: string,
			args: Omit<remote.CommandArgs, "connection">,
			dependsOn: pulumi.Resource[],
			protect = false,
		) =>
			new remote.Command(
				`${name}-${suffix}`,
				{ connection, ...onlyTriggers, ...args },
				{ parent: this, dependsOn, protect },
			);

		const down = command("compose-down", { delete: `sh ${BOUNCE} down` }, [files], config.protect);
		const up = command("compose-up", { create: `sh ${BOUNCE} compose`, triggers: [compose] }, [down]);
		// Whatever compose recreated, nginx has to forget what it knew about it.
		const restart = command("nginx-restart", { create: `sh ${BOUNCE} nginx`, triggers: [compose, nginx] }, [up]);
		const verified = command(
			"verification",
			{
				create: pulumi.interpolate`sh ${BOUNCE} verify compose=${compose} nginx=${nginx}`,
				stdin: pulumi.secret(credentials(config)),
				triggers: [compose, nginx],
			},
			[restart],
		);
		const enabled = command(
			"unit",
			{ create: pulumi.interpolate`sh ${BOUNCE} systemd systemd=${systemd}`, triggers: [systemd] },
			[verified],
		);
		const canary = command("canary", { create: pushCanary(config), triggers: [compose] }, [verified]);
		command("scan", { create: scan, triggers: [compose, nginx] }, [enabled, canary]);
		this.registerOutputs({});
	}
}
