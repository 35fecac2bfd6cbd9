/** The registries' upkeep on the VM: its programs, when they run, and where they write. */
import type { Config } from "../../config.ts";
import { type ManagedFiles, managedFile } from "../../host/managedFile.ts";
import { bundle } from "../bundle.ts";
import { privateRegistry, type Registry } from "./registries.ts";

/** Minutes past three on Sunday between one registry's collection and the next. */
const COLLECTION_STEP = 5;

export function upkeepFiles(all: Registry[]): ManagedFiles {
	const script = (content: string) => managedFile(content, NOTHING, { mode: "0755" });
	return {
		"/opt/registry/upkeep.mjs": managedFile(
			bundle(new URL("./upkeep/main.ts", import.meta.url), { target: "node18" }),
			NOTHING,
		),
		"/opt/registry/fix-broken-blobs.sh": script(fixBrokenBlobs(all)),
		"/opt/registry/cleanup-tags.sh": script(cleanupTags(all)),
		"/opt/registry/garbage-collect.sh": script(garbageCollect(all)),
		"/opt/registry/repair.sh": script(repair(all)),
		"/etc/cron.d/registry": managedFile(crontab(all), NOTHING),
		"/etc/logrotate.d/registry": managedFile(logrotate, NOTHING),
	};
}

/** A command on the VM. */
export function pushCanary({ privateRegistry, monitoring }: Config): string {
	return `node /opt/registry/upkeep.mjs canary --private ${privateRegistry.name} ${monitoring.canary}`;
}

/** A command on the VM. What it finds is told, and fails nothing: it is not of the update's making. */
export const scan = "/opt/registry/fix-broken-blobs.sh --dry-run || [ $? -eq 1 ]";

const NOTHING = "nothing is restarted";

const HEAD = "#!/bin/sh\n# Managed by Pulumi: a change made here by hand is undone by the next update.\n";
/** One at a time, whoever starts them; looking needs no turn. */
const TAKE_TURNS = `case " $* " in *" --dry-run "*) turn= ;; *) turn="flock --timeout 7200 /run/registry-upkeep.lock" ;; esac\n`;

function fixBrokenBlobs(all: Registry[]): string {
	const caches = all.filter(({ kind }) => kind === "cache").map(({ name }) => name);
	return `${HEAD}${TAKE_TURNS}exec $turn node /opt/registry/upkeep.mjs fix-broken-blobs --private ${privateRegistry(all).name} --caches ${caches} "$@"\n`;
}

function repair(all: Registry[]): string {
	const caches = all.filter(({ kind }) => kind === "cache").map(({ name }) => name);
	return `${HEAD}${TAKE_TURNS}exec $turn node /opt/registry/upkeep.mjs repair --private ${privateRegistry(all).name} --caches ${caches} "$@"\n`;
}

function cleanupTags(all: Registry[]): string {
	return `${HEAD}${TAKE_TURNS}exec $turn node /opt/registry/upkeep.mjs cleanup-tags --private ${privateRegistry(all).name} "$@"\n`;
}

// systemd sees to it that the registry is started again, even where the collection is killed.
function garbageCollect(all: Registry[]): string {
	return `${HEAD}${TAKE_TURNS}case \${1-} in
${all.map(({ name }) => name).join(" | ")}) ;;
*)
	echo "usage: garbage-collect.sh ${all.map(({ name }) => name).join("|")} [--dry-run]" >&2
	exit 2
	;;
esac
exec $turn systemd-run --quiet --wait --collect --pipe \\
	--property=ExecStopPost="/usr/bin/docker start registry-$1" \\
	node /opt/registry/upkeep.mjs garbage-collect --private ${privateRegistry(all).name} "$@"
`;
}

/** Where Debian's node_exporter looks for metrics in files. */
const SCAN_METRICS = "/var/lib/prometheus/node-exporter/registry-scan.prom";

/** In the VM's local time. */
function crontab(all: Registry[]): string {
	const line = (when: string, command: string, log: string) =>
		`${when} root /opt/registry/${command} >>/var/log/registry-${log}.log 2>&1\n`;
	return `# Managed by Pulumi: a change made here by hand is undone by the next update.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
${line("0 2 * * *", "cleanup-tags.sh --keep 10", "cleanup")}${line("30 2 * * 1-6", `fix-broken-blobs.sh --metrics ${SCAN_METRICS}`, "fix-blobs")}${line("30 3 * * 0", `fix-broken-blobs.sh --metrics ${SCAN_METRICS}`, "fix-blobs")}${all.map(({ name }, i) => line(`${i * COLLECTION_STEP} 3 * * 0`, `garbage-collect.sh ${name}`, "gc")).join("")}`;
}

const logrotate = `# Managed by Pulumi: a change made here by hand is undone by the next update.
/var/log/registry-cleanup.log /var/log/registry-fix-blobs.log /var/log/registry-gc.log {
	weekly
	rotate 8
	compress
	missingok
	notifempty
}
`;
