/** What has to be so on the registry VM besides its files. */
import type { Config } from "../../config.ts";
import { COMPOSE_PROJECT, containerImages } from "./compose.ts";
import { UNIT } from "./unit.ts";

/** A shell script, and what it prints where all is well. */
export interface Condition {
	run: string;
	state: string;
	notify: string[];
	reaction: string;
}

export function conditions(config: Config): Record<string, Condition> {
	const images = containerImages(config);
	return {
		/** Every container that is ours by name, project or network, with its image and whether it runs. */
		containers: {
			run: `docker ps --all --format '{{.Names}}|{{.Label "com.docker.compose.project"}}|{{.Networks}}|{{.Image}}|{{.State}}' |
	while IFS='|' read -r name project networks image state; do
		case " ${Object.keys(images).join(" ")} " in
		*" $name "*) ;;
		*) [ "$project" = ${COMPOSE_PROJECT} ] || [ "$networks" = registry ] || continue ;;
		esac
		echo "$name $image $state"
	done | LC_ALL=C sort`,
			state: Object.entries(images)
				.map(([name, image]) => `${name} ${image} running\n`)
				.sort()
				.join(""),
			notify: ["compose"],
			reaction: "compose puts right the containers that differ, then nginx is restarted",
		},
		unit: {
			run: `systemctl is-enabled ${UNIT}; systemctl is-active ${UNIT}`,
			state: "enabled\nactive\n",
			notify: ["systemd"],
			reaction: "the unit is enabled and started; nothing is restarted",
		},
	};
}
