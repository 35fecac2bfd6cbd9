/** What makes changed files take effect on the registry VM, sees that they did, and goes back if they didn't. */
import { envFile, shellScript, table } from "../../host/shell.ts";
import type { RegistryVmSecrets, RegistryVmSettings } from "./args.ts";
import { COMPOSE_PROJECT, containerNames, NETWORK } from "./compose.ts";
import { registries } from "./registries.ts";
import { IDENTITY_HEADER } from "./registryConfig.ts";
import { UNIT } from "./unit.ts";

/** Names the records of the VM's FileSet, which tell what was last verified. */
export const FILE_SET = "registry";

/** Where the script is on the VM; neither it nor its env file holds a secret. */
export const BOUNCE = "/opt/registry/bounce.sh";

/** For how long a port is silent at most, in seconds: measured on two busy cores by test/lab/bounce.test.ts. */
export const SILENCE = {
	/** Every port, while nginx is restarted. */
	nginx: 3,
	/** The port of a registry that is recreated, until nginx was restarted, too. */
	registry: 6,
	/** Every port, where all containers are recreated. */
	all: 12,
};

/** `bounce.sh`: run by the program's Commands, and by an operator. */
export const bounceScript = shellScript(import.meta.url, "bounce.sh");

/** `bounce.env`, which `bounce.sh` reads. */
export function bounceEnv(settings: RegistryVmSettings): string {
	return envFile({
		FILE_SET,
		UNIT,
		PROJECT: COMPOSE_PROJECT,
		NETWORK,
		IDENTITY_HEADER,
		CONTAINERS: containerNames(settings).join("\n"),
		REGISTRIES: table(
			registries(settings.role).map((one) => [one.name, one.port, one.kind === "private" ? one.hostname : ""]),
		),
	});
}

/** What `bounce.sh verify` reads from standard input. */
export function credentials({
	registryUser,
	registryPassword,
}: Pick<RegistryVmSecrets, "registryUser" | "registryPassword">): string {
	return `user = "${`${registryUser}:${registryPassword}`.replace(/[\\"]/g, "\\$&")}"\n`;
}
