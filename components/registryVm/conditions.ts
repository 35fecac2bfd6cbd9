/** What has to be so on the registry VM besides its files. */
import type { Condition } from "../../host/fileSetSchema.ts";
import { shellScript } from "../../host/shell.ts";
import type { RegistryVmSettings } from "./args.ts";
import { COMPOSE_PROJECT, containerImages, NETWORK } from "./compose.ts";
import { UNIT } from "./unit.ts";

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
		unit: {
			script: shellScript(import.meta.url, "unit-state.sh"),
			args: [UNIT],
			state: "enabled\nactive\n",
			notify: ["systemd"],
			effect: "the unit is enabled and started; nothing is restarted",
		},
	};
}
