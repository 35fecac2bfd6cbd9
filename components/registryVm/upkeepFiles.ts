/** The registries' upkeep on the VM: its programs, when they run, and where they write. */
import { managedFile, type RenderedFiles } from "../../host/managedFile.ts";
import { envFile, shellScript } from "../../host/shell.ts";
import { bundle } from "../bundle.ts";
import { cachesOf, debugUrl, privateRegistry, type Registry } from "./registries.ts";

/** Minutes past three on Sunday between one registry's collection and the next. */
const COLLECTION_STEP = 5;

const NOTHING = "nothing is restarted";

export function upkeepFiles(all: Registry[]): RenderedFiles {
	const names = ["upkeep.sh", "fix-broken-blobs.sh", "cleanup-tags.sh", "garbage-collect.sh", "repair.sh"];
	const scripts = names.map((name) => [
		`/opt/registry/${name}`,
		managedFile(shellScript(import.meta.url, name), NOTHING, { mode: "0755" }),
	]);
	const env = {
		PRIVATE: privateRegistry(all)?.name ?? "",
		CACHES: cachesOf(all)
			.map(({ name }) => name)
			.join(","),
		MAX_SIZES: cachesOf(all)
			.flatMap(({ name, maxSize }) => (maxSize === undefined ? [] : [`${name}=${maxSize}`]))
			.join(","),
		COUNTING: cachesOf(all)
			.flatMap((cache) => (cache.metricsPort === undefined ? [] : [`${cache.name}=${debugUrl(cache)}`]))
			.join(","),
		SCAN_METRICS,
		VM_METRICS,
		REGISTRIES: all.map(({ name }) => name).join("\n"),
	};
	return {
		"/opt/registry/upkeep.mjs": managedFile(upkeepProgram(), NOTHING),
		"/opt/registry/upkeep.env": managedFile(envFile(env), NOTHING),
		...Object.fromEntries(scripts),
		"/etc/cron.d/registry": managedFile(crontab(all), NOTHING),
		"/etc/logrotate.d/registry": managedFile(logrotate, NOTHING),
	};
}

/** The program of the upkeep as one file, for Node.js 18 or newer. */
export function upkeepProgram(): string {
	return bundle(new URL("./upkeep/main.ts", import.meta.url), { target: "node18" });
}

/** A command on the VM. */
export function pushCanary(registry: string, canary: string): string {
	return `node /opt/registry/upkeep.mjs canary --private ${registry} ${canary}`;
}

/** A command on the VM. What it finds is reported, and fails nothing: it is not of the update's making. */
export const scan = `/opt/registry/fix-broken-blobs.sh --dry-run || [ $? -eq 1 ]
/opt/registry/upkeep.sh measure || [ $? -eq 2 ]`;

/** Where Debian's node_exporter looks for metrics in files. */
const SCAN_METRICS = "/var/lib/prometheus/node-exporter/registry-scan.prom";

/** What nginx shows below the metrics of a cache; its folder is mounted. */
export const VM_METRICS = "/opt/registry/metrics/vm.prom";

/** In the VM's local time. */
function crontab(all: Registry[]): string {
	const line = (when: string, command: string, log: string) =>
		`${when} root /opt/registry/${command} >>/var/log/registry-${log}.log 2>&1\n`;
	return `# Managed by Pulumi: a change made here by hand is undone by the next update.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
${line("*/5 * * * *", "upkeep.sh measure", "measure")}${line("0 2 * * *", "cleanup-tags.sh --keep 10", "cleanup")}${line("30 2 * * 1-6", `fix-broken-blobs.sh --gently --truncated --metrics ${SCAN_METRICS}`, "fix-blobs")}${line("30 3 * * 0", `fix-broken-blobs.sh --gently --truncated --metrics ${SCAN_METRICS}`, "fix-blobs")}${all.map(({ name }, i) => line(`${i * COLLECTION_STEP} 3 * * 0`, `garbage-collect.sh ${name}`, "gc")).join("")}`;
}

const logrotate = `# Managed by Pulumi: a change made here by hand is undone by the next update.
/var/log/registry-cleanup.log /var/log/registry-fix-blobs.log /var/log/registry-gc.log /var/log/registry-measure.log {
	weekly
	rotate 8
	compress
	missingok
	notifempty
}
`;
