/** What has to be on the registry VM before a file is staged there; what an empty machine lacks is installed. */
import type { Precondition } from "../../host/fileSetSchema.ts";
import { shellScript } from "../../host/shell.ts";
import { COMPOSE_PROJECT, NETWORK } from "./compose.ts";

const remedy = shellScript(import.meta.url, "install.sh");

export const preconditions: Precondition[] = [
	{
		script: "docker info",
		remedy,
		args: ["docker.service", "docker.io"],
		problem: "Docker does not run there",
		advice: "install Docker Engine and start it",
	},
	{
		script: "docker compose version",
		remedy,
		// Ubuntu's name, Docker's own, and Debian's since 13.
		args: ["", "docker-compose-v2", "docker-compose-plugin", "docker-compose"],
		problem: "Docker has no compose plugin there",
		advice: "install docker-compose-v2 (Ubuntu) or docker-compose-plugin (Docker's own packages)",
	},
	{
		script: shellScript(import.meta.url, "is-own-network.sh"),
		args: [NETWORK, COMPOSE_PROJECT],
		problem: `there is a Docker network ${NETWORK} that is not of the compose project ${COMPOSE_PROJECT}`,
		advice: `take the containers off it, and remove it: docker network rm ${NETWORK}`,
	},
	{
		script: "command -v curl",
		remedy,
		args: ["", "curl"],
		problem: "curl is not there, and the verification needs it",
		advice: "install it",
	},
	{
		script: "systemctl is-active cron",
		remedy,
		args: ["cron.service", "cron"],
		problem: "cron does not run there, and the registries' upkeep needs it",
		advice: "install cron and start it",
	},
	{
		script: "command -v logrotate",
		remedy,
		args: ["", "logrotate"],
		problem: "logrotate is not there, and the logs of the upkeep would grow for ever",
		advice: "install it",
	},
	{
		script: "node --eval 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)'",
		remedy,
		args: ["", "nodejs"],
		problem: "Node.js 18 or newer is not there, and the registries' upkeep needs it",
		advice: "install nodejs",
	},
];
