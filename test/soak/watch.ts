/** What must not grow, and who must not be woken. */
import { monitoring } from "../../lab/estate.ts";
import { askVm } from "../lab/lab.ts";

/** Of a container's processes. */
export interface Used {
	/** Resident, in MiB. */
	memory: number;
	/** Open. */
	files: number;
}

/** Alerts that mean an image is broken, or that nobody knows: none is, and somebody does. */
const FALSE_ALARMS = /Integrity|Manifest|Repository/;

/** By container of the VM; empty where the VM does not answer. */
export async function used(): Promise<Record<string, Used>> {
	const script = `for name in $(docker ps --format '{{.Names}}'); do
	memory=0 files=0
	for pid in $(docker top "$name" -eo pid | tail -n +2); do
		memory=$((memory + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")))
		files=$((files + $(ls "/proc/$pid/fd" | wc -l)))
	done
	echo "$name $memory $files"
done 2>/dev/null`;
	const { exitCode, stdout } = await askVm(script);
	if (exitCode !== 0) return {};
	const rows = stdout.split("\n").map((line) => line.split(" ") as [string, string, string]);
	return Object.fromEntries(
		rows.map(([name, memory, files]) => [name, { memory: Number(memory) / 1024, files: Number(files) }]),
	);
}

/** The names of the alerts that fire and are false. */
export async function falseAlarms(): Promise<string[]> {
	const url = `http://127.0.0.1:${monitoring.alertmanager.port}/api/v2/alerts?active=true`;
	const alerts = (await (await fetch(url)).json()) as { labels: { alertname: string } }[];
	return alerts.map(({ labels }) => labels.alertname).filter((name) => FALSE_ALARMS.test(name));
}
