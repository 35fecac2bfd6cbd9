/** What has to be on the registry VM before a file is staged there; what an empty machine lacks is installed. */

export interface Precondition {
	run: string;
	remedy?: string;
	problem: string;
	advice: string;
}

/**
 * For Debian and Ubuntu; the package lists are fetched only where the ones that are there do not do. Nothing is
 * ever removed: Debian's Docker would take the place of Docker's own.
 */
const install = (packages: string) => `command -v apt-get || { echo "there is no apt-get to install it with"; exit 1; }
install() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-remove --no-install-recommends "$@"
}
update() {
	apt-get -q -o DPkg::Lock::Timeout=300 update
}
${packages}`;
const installNamed = (name: string) => install(`install ${name} || { update && install ${name}; }`);

export const preconditions: Precondition[] = [
	{
		run: "docker info",
		remedy: `if ! command -v dockerd; then
${installNamed("docker.io")}
fi
systemctl enable --now docker`,
		problem: "Docker does not run there",
		advice: "install Docker Engine and start it",
	},
	{
		run: "docker compose version",
		// Ubuntu's name, Docker's own, and Debian's since 13.
		remedy: install(`for name in docker-compose-v2 docker-compose-plugin docker-compose; do
	install "$name" || { update && install "$name"; } || continue
	docker compose version && break
done`),
		problem: "Docker has no compose plugin there",
		advice: "install docker-compose-v2 (Ubuntu) or docker-compose-plugin (Docker's own packages)",
	},
	{
		run: "command -v curl",
		remedy: installNamed("curl"),
		problem: "curl is not there, and the verification needs it",
		advice: "install it",
	},
	{
		run: "systemctl is-active cron",
		remedy: `${installNamed("cron")}
systemctl enable --now cron`,
		problem: "cron does not run there, and the registries' upkeep needs it",
		advice: "install cron and start it",
	},
	{
		run: "command -v logrotate",
		remedy: installNamed("logrotate"),
		problem: "logrotate is not there, and the logs of the upkeep would grow for ever",
		advice: "install it",
	},
	{
		run: `node --eval 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)'`,
		remedy: installNamed("nodejs"),
		problem: "Node.js 18 or newer is not there, and the registries' upkeep needs it",
		advice: "install nodejs",
	},
];
