/** Each alert, judged by promtool: it fires, it does not fire, it resolves. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { allAlerts } from "../../scripts/allAlerts.ts";
import { checkout, env, monitoringImage, run } from "./lab.ts";

const groups = allAlerts({ namespace: "monitoring", runbooks: "docs/runbooks" });
const rules = groups.flatMap((group) => group.rules);
const METRIC = "registry_manifest_integrity";
const INSTANCE = "registry.viktorbarzin.me:5050";
const LABELS = `{instance="${INSTANCE}",job="registry-integrity-probe"}`;
const SUCCESS = `{instance="${INSTANCE}",job="registry-integrity-probe",result="success"}`;
let folder: string;
let image: string;
/** What promtool says of each example, in the order of `all`. */
let judged: string[];

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "alerts-test-"));
	image = await monitoringImage();
	await writeFile(join(folder, "rules.yml"), stringify({ groups }));
	judged = await judge();
});
afterAll(() => rm(folder, { recursive: true }));

const promtool = (...args: string[]) =>
	run("docker", ["run", "--rm", "--volume", `${folder}:/test:ro`, image, "promtool", ...args], {
		env: { DOCKER_HOST: env("LAB_DOCKER_HOST") },
	});

interface Example {
	/** Series by name with labels, in promtool's notation, a value each minute. */
	series: Record<string, string>;
	/** Minutes at which the alert fires, and at which it does not. */
	fires: number[];
	silent: number[];
	/** What the alert's labels have besides; the probe's own unless said otherwise. */
	labels?: Record<string, string>;
}

const probes = { instance: INSTANCE, job: "registry-integrity-probe" };
/** The time itself, in seconds, each minute. */
const now = (minutes: number) => `0+60x${minutes}`;

/** Of an hour, in minutes. */
const HOURS = 60;
const DRIFT = '{job="drift-detection"}';
const STACK = '{job="drift-detection",stack="prod"}';
const vm = { instance: "10.0.20.10:5001", job: "docker-registry" };
const VM = '{instance="10.0.20.10:5001",job="docker-registry"}';
const CACHE = '{instance="10.0.20.10:5001",job="docker-registry",registry="dockerhub"}';

const examples: Record<string, Example> = {
	DriftDetectionStale: {
		series: { [`drift_detection_last_run_timestamp${DRIFT}`]: `0x${27 * HOURS} ${27 * 3600}x60` },
		fires: [26 * HOURS + 31, 27 * HOURS],
		silent: [25 * HOURS, 26 * HOURS + 30, 27 * HOURS + 2],
		labels: {},
	},
	DriftDetectionNeverRan: {
		series: { [`drift_detection_last_run_timestamp${DRIFT}`]: `_x${27 * HOURS - 1} 0x60` },
		fires: [26 * HOURS, 27 * HOURS - 2],
		silent: [26 * HOURS - 1, 27 * HOURS + 2],
		labels: {},
	},
	DriftPushStale: {
		series: { [`push_time_seconds${DRIFT}`]: `0x${27 * HOURS} ${27 * 3600}x60` },
		fires: [26 * HOURS + 31, 27 * HOURS],
		silent: [26 * HOURS + 30, 27 * HOURS + 2],
		labels: { job: "drift-detection" },
	},
	DriftUnaddressed: {
		series: { [`drift_stack_age_hours${STACK}`]: "71x60 73x120 0x60" },
		fires: [121, 180],
		silent: [60, 120, 182],
		labels: {},
	},
	DriftStacksMany: {
		series: { [`drift_stack_count${DRIFT}`]: "10x9 11x60 10x30" },
		fires: [40, 69],
		silent: [9, 39, 71],
		labels: { job: "drift-detection" },
	},
	DriftStackErrored: {
		series: { [`drift_error_count${DRIFT}`]: "0x9 1x180 0x30" },
		fires: [130, 189],
		silent: [9, 129, 191],
		labels: { job: "drift-detection" },
	},
	DockerRegistryDown: {
		// Prometheus gives a series up five minutes after its last value.
		series: {
			'registry_http_in_flight_requests{handler="base",instance="10.0.20.10:5001",job="docker-registry"}':
				"0x9 _x59 0x30",
		},
		fires: [25, 68],
		silent: [9, 14, 23, 69],
		labels: vm,
	},
	RegistryDiskNearlyFull: {
		series: {
			[`registry_vm_disk_size_bytes${VM}`]: "100x120",
			[`registry_vm_disk_available_bytes${VM}`]: "16x9 14x30 16x80",
			[`registry_vm_disk_files${VM}`]: "100x120",
			[`registry_vm_disk_files_free${VM}`]: "50x59 14x60",
		},
		fires: [26, 39, 76, 100],
		silent: [9, 24, 42, 59, 73],
		labels: vm,
	},
	RegistryDiskFull: {
		// A file system without a limit on files.
		series: {
			[`registry_vm_disk_size_bytes${VM}`]: "100x60",
			[`registry_vm_disk_available_bytes${VM}`]: "6x9 4x30 6x20",
		},
		fires: [16, 39],
		silent: [9, 14, 42],
		labels: vm,
	},
	RegistryMeasurementsStale: {
		series: { [`registry_vm_measured_timestamp${VM}`]: "0x99 6000+60x60" },
		fires: [76, 99],
		silent: [60, 74, 101],
		labels: vm,
	},
	RegistryCacheHitRateLow: {
		series: {
			[`registry_cache_manifest_requests_total${CACHE}`]: "0+5x1000",
			[`registry_cache_manifest_misses_total${CACHE}`]: "0+4x400 1600x600",
			// Few requests.
			[`registry_cache_manifest_requests_total${VM}`]: "0+0.01x1000",
			[`registry_cache_manifest_misses_total${VM}`]: "0+0.01x1000",
		},
		fires: [200, 500],
		silent: [20, 80, 900],
		labels: { ...vm, registry: "dockerhub" },
	},
	RegistryScanFoundBroken: {
		series: {
			'registry_scan_findings{instance="10.0.20.10:5001",job="docker-registry",problem="blob-missing",registry="private"}':
				"0x9 2x60 0x30",
		},
		fires: [26, 69],
		silent: [9, 24, 72],
		labels: { ...vm, registry: "private", problem: "blob-missing" },
	},
	RegistryScanStale: {
		series: { [`registry_scan_last_run_timestamp${VM}`]: `0x${74 * HOURS} ${74 * 3600}x60` },
		fires: [73 * HOURS + 1, 74 * HOURS],
		silent: [72 * HOURS, 73 * HOURS, 74 * HOURS + 2],
		labels: vm,
	},
	RegistryManifestIntegrityFailure: {
		series: { [`${METRIC}_failures${LABELS}`]: "0x9 2x60 0x30" },
		fires: [40, 60],
		silent: [5, 39, 71],
	},
	RegistryCatalogInaccessible: {
		series: { [`${METRIC}_catalog_accessible${LABELS}`]: "1x9 0x40 1x30" },
		fires: [25, 50],
		silent: [5, 24, 51],
	},
	RegistryIntegrityProbeStale: {
		series: { [`${METRIC}_last_run_timestamp${LABELS}`]: "0x99 6000+60x60" },
		fires: [76, 99],
		silent: [60, 75, 101],
	},
	RegistryIntegrityProbeIncomplete: {
		series: { [`${METRIC}_last_success_timestamp${SUCCESS}`]: "0x99 6000+60x60" },
		fires: [76, 99],
		silent: [60, 75, 101],
		labels: { ...probes, result: "success" },
	},
	RegistryIntegrityProbeNeverRan: {
		series: { [`${METRIC}_last_run_timestamp${LABELS}`]: "_x79 4800+60x60" },
		fires: [60, 78],
		silent: [10, 59, 90],
		labels: {},
	},
	PushgatewayAbsent: {
		series: { 'pushgateway_build_info{version="1"}': "_x39 1x60" },
		fires: [15, 38],
		silent: [14, 50],
		labels: {},
	},
	RegistryIntegrityProbeJobFailing: {
		series: {
			'kube_job_status_failed{namespace="monitoring",job_name="registry-integrity-probe-1"}': "0x9 1x10 _x80",
			'kube_job_status_failed{namespace="monitoring",job_name="registry-integrity-probe-2"}': "_x24 1x10 _x80",
			'kube_job_status_failed{namespace="monitoring",job_name="backup-1"}': "1x100",
		},
		fires: [45],
		silent: [5, 39, 70],
		labels: {},
	},
	RegistryIntegrityPushFailing: {
		series: {
			[`push_time_seconds${LABELS}`]: "60x40 3000x60",
			[`push_failure_time_seconds${LABELS}`]: "0x9 600x90",
		},
		fires: [25, 40],
		silent: [9, 24, 41],
	},
	RegistryIntegrityPushStale: {
		series: { [`push_time_seconds${LABELS}`]: "0x99 6000+60x60", [`push_time_seconds${SUCCESS}`]: "0x160" },
		fires: [76, 99],
		silent: [60, 75, 101],
	},
	RegistryIntegrityCoverageDropped: {
		// At last, the time is too short for more than a share.
		series: {
			[`${METRIC}_repos_checked${LABELS}`]: "40x9 19x60 20x30 10x60",
			[`${METRIC}_coverage${LABELS}`]: "1x99 0.3x60",
		},
		fires: [40, 60],
		silent: [5, 39, 71, 140, 158],
	},
	RegistryIntegrityShareTooSmall: {
		series: { [`${METRIC}_coverage${LABELS}`]: "1x9 0.09x150 0.2x20" },
		fires: [131, 159],
		silent: [5, 129, 161],
	},
	RegistryCertificateExpiring: {
		series: { [`registry_certificate_days_left${LABELS}`]: "15x9 13.4x90 89x10" },
		fires: [71, 99],
		silent: [5, 69, 101],
	},
	RegistryCertificateNotDeclared: {
		series: { [`registry_certificate_as_declared${LABELS}`]: "1x9 0x90 1x10" },
		fires: [71, 99],
		silent: [5, 69, 101],
	},
	SshKeyOld: {
		series: { 'ssh_key_age_days{host="docker-registry",job="ssh-keys"}': "365x9 366x90 0x10" },
		fires: [71, 99],
		silent: [5, 69, 101],
		labels: { host: "docker-registry", job: "ssh-keys" },
	},
	RegistryIntegrityTimestampInFuture: {
		series: { [`${METRIC}_last_run_timestamp${LABELS}`]: `${now(9)} 9000x30 2400+60x60` },
		fires: [15, 40],
		silent: [5, 14, 41],
	},
};

it("promtool takes the rules", async () => {
	const { exitCode, output } = await promtool("check", "rules", "/test/rules.yml");
	expect(output).toContain(`${rules.length} rules found`);
	expect(exitCode).toBe(0);
});

it("every alert has an example here, a summary, a description and a link to its runbook", () => {
	expect(Object.keys(examples).sort()).toEqual(rules.map(({ alert }) => alert).sort());
	for (const { annotations } of rules)
		expect(annotations).toEqual({
			summary: expect.stringMatching(/./),
			description: expect.stringMatching(/./),
			runbook_url: expect.stringMatching(/^docs\/runbooks\/[\w-]+\.md#[\w-]+$/),
		});
});

it("every link leads to a section of the runbook", async () => {
	for (const { annotations } of rules) {
		const [file, section] = annotations.runbook_url.split("#") as [string, string];
		const text = await readFile(join(checkout, file), "utf8");
		const sections = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title?.toLowerCase().replaceAll(" ", "-"));
		expect(sections).toContain(section);
	}
});

it("has the agreed alerts with their thresholds", () => {
	const agreed = rules.filter(({ alert }) =>
		/IntegrityFailure|ProbeStale|CatalogInaccessible|DriftDetectionStale|Unaddressed|Many|StackErrored/.test(alert),
	);
	expect(agreed.map(({ alert, expr, for: duration, labels }) => [alert, expr, duration, labels.severity])).toEqual([
		["RegistryManifestIntegrityFailure", "registry_manifest_integrity_failures > 0", "30m", "critical"],
		["RegistryCatalogInaccessible", "registry_manifest_integrity_catalog_accessible == 0", "15m", "critical"],
		["RegistryIntegrityProbeStale", "time() - registry_manifest_integrity_last_run_timestamp > 3600", "15m", "warning"],
		["DriftDetectionStale", "time() - max(drift_detection_last_run_timestamp) > 26*3600", "30m", "warning"],
		["DriftUnaddressed", "max(drift_stack_age_hours) > 72", "1h", "warning"],
		["DriftStacksMany", "drift_stack_count > 10", "30m", "warning"],
		["DriftStackErrored", "drift_error_count > 0", "2h", "warning"],
	]);
});

/** The same where Prometheus scrapes the Pushgateway without honor_labels, and keeps its own job and instance. */
const exported: Record<string, Example> = Object.fromEntries(
	["RegistryIntegrityPushFailing", "RegistryIntegrityPushStale"].map((alert) => {
		const example = examples[alert] as Example;
		const rename = (name: string) =>
			name
				.replace("instance=", "exported_instance=")
				.replace("job=", 'instance="gateway:9091",job="pushgateway",exported_job=');
		const series = Object.fromEntries(Object.entries(example.series).map(([name, values]) => [rename(name), values]));
		const labels = {
			exported_instance: INSTANCE,
			exported_job: "registry-integrity-probe",
			instance: "gateway:9091",
			job: "pushgateway",
		};
		return [alert, { ...example, series, labels }];
	}),
);

const all = [...Object.entries(examples), ...Object.entries(exported)];

/** A file for each example, with its rule only, and one start of promtool for all of them. */
async function judge(): Promise<string[]> {
	for (const [i, [name, { series, fires, silent, labels = probes }]] of all.entries()) {
		const { annotations: _, ...rule } = rules.find(({ alert }) => alert === name) as (typeof rules)[number];
		// promtool wants the whole of an alert; its annotations have values that only the rule knows how to fill in.
		await writeFile(join(folder, `rule-${i}.yml`), stringify({ groups: [{ name, rules: [rule] }] }));
		const firing = [{ exp_labels: { ...rule.labels, ...labels } }];
		const at = (minutes: number[], exp_alerts: unknown[]) =>
			minutes.map((minute) => ({ eval_time: `${minute}m`, alertname: name, exp_alerts }));
		const test = {
			rule_files: [`rule-${i}.yml`],
			evaluation_interval: "1m",
			tests: [
				{
					interval: "1m",
					input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
					alert_rule_test: [...at(fires, firing), ...at(silent, [])],
				},
			],
		};
		await writeFile(join(folder, `test-${i}.yml`), stringify(test));
	}
	const { output } = await promtool("test", "rules", ...all.map((_, i) => `/test/test-${i}.yml`));
	return output.split(/^Unit Testing: .*$/m).slice(1);
}

it.each(all.map(([name], i) => [name, i] as const))("%s fires, does not fire before, and resolves", (_, i) => {
	expect(judged).toHaveLength(all.length);
	expect(judged[i]?.trim()).toBe("SUCCESS");
});
