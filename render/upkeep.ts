/** The registries' upkeep on the VM: its programs, when they run, and where they write. */
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { type ManagedFiles, managedFile } from "./managedFile.ts";
import { privateRegistry, type Registry } from "./registries.ts";

/** Minutes past three on Sunday between one registry's collection and the next. */
const COLLECTION_STEP = 5;

export function upkeepFiles(all: Registry[]): ManagedFiles {
	const script = (content: string) => managedFile(content, NOTHING, { mode: "0755" });
	return {
		"/opt/registry/upkeep.mjs": managedFile(bundle(), NOTHING),
		"/opt/registry/fix-broken-blobs.sh": script(fixBrokenBlobs(all)),
		"/opt/registry/cleanup-tags.sh": script(cleanupTags(all)),
		"/opt/registry/garbage-collect.sh": script(garbageCollect(all)),
		"/etc/cron.d/registry": managedFile(crontab(all), NOTHING),
		"/etc/logrotate.d/registry": managedFile(logrotate, NOTHING),
	};
}

const NOTHING = "nothing is restarted";

let bundled: string | undefined;

/** scripts/vm as one file, for the Node 18 of Debian 12 and Ubuntu 24.04. */
function bundle(): string {
	bundled ??= buildSync({
		entryPoints: [fileURLToPath(new URL("../scripts/vm/main.ts", import.meta.url))],
		bundle: true,
		write: false,
		platform: "node",
		format: "esm",
		target: "node18",
		charset: "utf8",
	}).outputFiles[0]?.text;
	if (bundled === undefined) throw new Error("esbuild made nothing of scripts/vm/main.ts");
	return bundled;
}

const HEAD = "#!/bin/sh\n# Managed by Pulumi: a change made here by hand is undone by the next update.\n";
/** One at a time, whoever starts them; looking needs no turn. */
const TAKE_TURNS = `case " $* " in *" --dry-run "*) turn= ;; *) turn="flock --timeout 7200 /run/registry-upkeep.lock" ;; esac\n`;

function fixBrokenBlobs(all: Registry[]): string {
	const caches = all.filter(({ kind }) => kind === "cache").map(({ name }) => name);
	return `${HEAD}${TAKE_TURNS}exec $turn node /opt/registry/upkeep.mjs fix-broken-blobs --private ${privateRegistry(all).name} --caches ${caches} "$@"\n`;
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

/** In the VM's local time. */
function crontab(all: Registry[]): string {
	const line = (when: string, command: string, log: string) =>
		`${when} root /opt/registry/${command} >>/var/log/registry-${log}.log 2>&1\n`;
	return `# Managed by Pulumi: a change made here by hand is undone by the next update.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
${line("0 2 * * *", "cleanup-tags.sh --keep 10", "cleanup")}${line("30 2 * * 1-6", "fix-broken-blobs.sh", "fix-blobs")}${line("30 3 * * 0", "fix-broken-blobs.sh", "fix-blobs")}${all.map(({ name }, i) => line(`${i * COLLECTION_STEP} 3 * * 0`, `garbage-collect.sh ${name}`, "gc")).join("")}`;
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
