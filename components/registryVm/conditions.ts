/** What has to be so on the registry VM besides its files. */
import type { Condition } from "../../host/fileSetSchema.ts";
import { shellScript } from "../../host/shell.ts";
import type { RegistryVmSettings } from "./args.ts";
import { FILE_SET } from "./bounce.ts";
import { COMPOSE_PROJECT, containerImages, NETWORK } from "./compose.ts";
import { UNIT } from "./unit.ts";

/** The group that removes what is left. */
export const LEFTOVERS = "leftovers";

/** Lists them, or removes them. */
export const leftoversScript = shellScript(import.meta.url, "leftovers.sh");

/** A command on the VM that reads `leftoversScript` from standard input. */
export function removeLeftovers(revision: string): string {
	return `sh -s -- remove ${COMPOSE_PROJECT} ${NETWORK} ${FILE_SET} ${LEFTOVERS}=${revision}`;
}

export function conditions(settings: RegistryVmSettings): Record<string, Condition> {
	const images = containerImages(settings);
	return {
		/** Every container that is ours by name, project or network, with its image and whether it runs. */
		containers: {
			script: shellScript(import.meta.url, "containers.sh"),
			args: [COMPOSE_PROJECT, NETWORK, ...Object.keys(images)],
			state: Object.entries(images)
				.map(([name, image]) => `${name} ${image} running\n`)
				.sort()
				.join(""),
			notify: ["compose"],
			effect: "compose puts right the containers that differ, then nginx is restarted",
		},
		/** What an older compose file of the project left behind. */
		leftovers: {
			script: leftoversScript,
			args: ["list", COMPOSE_PROJECT, NETWORK],
			state: "",
			notify: [LEFTOVERS],
			effect: "it is removed once every port has answered as it should",
		},
		unit: {
			script: shellScript(import.meta.url, "unit-state.sh"),
			args: [UNIT],
			state: "enabled\nactive\n",
			notify: ["systemd"],
			effect: "the unit is enabled and started; nothing is restarted",
		},
	};
}
