import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Config } from "../config.ts";
import { FileSet } from "../provider/resources.ts";
import type { Connection } from "../provider/ssh.ts";
import { composeDown, composeUp, credentials, nginxRestart, verification } from "../render/bounce.ts";
import { registryVmFiles } from "../render/registryVm.ts";

/** Names the records of this FileSet on the VM. */
const FILE_SET = "registry";

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
		const managed = registryVmFiles(config);

		const files = new FileSet(
			name,
			{
				name: FILE_SET,
				connection,
				preconditions: [
					{ run: "docker info", advice: "Docker does not run there; install Docker Engine and start it" },
					{
						run: "docker compose version",
						advice: "Docker has no compose plugin there; install docker-compose-plugin",
					},
					{ run: "command -v curl", advice: "curl is not there, and the verification needs it; install it" },
				],
				checks: [
					{
						name: "docker compose config refuses docker-compose.yml",
						run: 'docker compose --file "$(staged /opt/registry/docker-compose.yml)" config --quiet',
						files: ["/opt/registry/docker-compose.yml"],
					},
					{
						name: "nginx -t refuses nginx.conf or its certificate",
						run: `docker run --rm --network none \\
	--volume "$(staged /opt/registry/nginx.conf):/etc/nginx/nginx.conf:ro" \\
	--volume "$(staged /opt/registry/tls/fullchain.pem):/etc/nginx/tls/fullchain.pem:ro" \\
	--volume "$(staged /opt/registry/tls/privkey.pem):/etc/nginx/tls/privkey.pem:ro" \\
	${config.images.nginx} nginx -t`,
						files: ["/opt/registry/nginx.conf", "/opt/registry/tls/fullchain.pem", "/opt/registry/tls/privkey.pem"],
					},
				],
				files: Object.fromEntries(
					Object.entries(managed).map(([path, { secret, content, ...file }]) => [
						path,
						{ ...file, content: secret ? pulumi.secret(content) : content },
					]),
				),
			},
			{ parent: this },
		);

		const compose = files.revisions["compose"] as pulumi.Output<string>;
		const nginx = files.revisions["nginx"] as pulumi.Output<string>;
		const command = (suffix: string, args: Omit<remote.CommandArgs, "connection">, dependsOn: pulumi.Resource[]) =>
			new remote.Command(
				`${name}-${suffix}`,
				{ connection, addPreviousOutputInEnv: false, ...args },
				{ parent: this, dependsOn },
			);

		const down = command("compose-down", { delete: composeDown }, [files]);
		const up = command("compose-up", { create: composeUp, triggers: [compose] }, [down]);
		// Whatever compose recreated, nginx has to forget what it knew about it.
		const restart = command("nginx-restart", { create: nginxRestart, triggers: [compose, nginx] }, [up]);
		command(
			"verification",
			{
				create: pulumi
					.all([compose, nginx])
					.apply(([compose, nginx]) => verification(config, FILE_SET, { compose, nginx })),
				stdin: pulumi.secret(credentials(config)),
				triggers: [compose, nginx],
			},
			[restart],
		);
		this.registerOutputs({});
	}
}
