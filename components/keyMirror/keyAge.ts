/** How long a login key has been in use, as far as its copy in Vault shows. */
import { Gauge, Registry as Metrics } from "prom-client";
import { type RuleGroup, ruleGroup } from "../alertRules.ts";
import { push } from "../pushgateway.ts";
import { readEntry } from "../vault.ts";
import { publicKeyOf } from "./sshKey.ts";

const DAY = 24 * 3600 * 1000;
/** The `job` of the metric. */
const JOB = "ssh-keys";
const METRIC = "ssh_key_age_days";
/** After how many days a key is to be rotated. */
const OLD = 365;

/**
 * When the oldest of the newest versions that have the same key was written, of those that Vault still has: a version
 * may have another known_hosts_entry only. Undefined where there is no copy. Throws a VaultError.
 */
export async function keySince(mount: string, path: string): Promise<Date | undefined> {
	const newest = await readEntry(mount, path);
	const key = publicHalf(newest.data);
	if (key === undefined) return undefined;
	let { writtenAt } = newest;
	for (let version = newest.version - 1; version > 0; version--) {
		const older = await readEntry(mount, path, version);
		if (publicHalf(older.data) !== key) break;
		writtenAt = older.writtenAt ?? writtenAt;
	}
	return writtenAt;
}

/** Replaces all ages that the Pushgateway has. Throws a PushgatewayError. */
export async function pushKeyAges(pushgateway: string, since: Record<string, Date>, now: number): Promise<void> {
	const metrics = new Metrics();
	const help = "Since the login key of the host was made, as far as Vault shows";
	const gauge = new Gauge({ name: METRIC, help, labelNames: ["host"], registers: [metrics] });
	for (const [host, date] of Object.entries(since)) gauge.set({ host }, (now - date.getTime()) / DAY);
	await push("PUT", pushgateway, { job: JOB }, metrics);
}

/** `runbooks` is what the links begin with. */
export function keyAlerts(runbooks: string): RuleGroup {
	return ruleGroup("ssh-keys", runbooks, [
		{
			alert: "SshKeyOld",
			severity: "warning",
			expr: `${METRIC} > ${OLD}`,
			for: "1h",
			summary: 'The login key of {{ $labels.host }} is {{ $value | printf "%.0f" }} days old',
			description: "npm run rotate-key -- {{ $labels.host }} gives it a new one.",
			runbook: "credentials.md#a-key-is-old",
		},
	]);
}

function publicHalf(data: Record<string, string> | undefined): string | undefined {
	const key = data?.["private_key"];
	if (key === undefined) return undefined;
	try {
		return publicKeyOf(key);
	} catch {
		return undefined; // What somebody wrote there by hand is no key, and has no age.
	}
}
