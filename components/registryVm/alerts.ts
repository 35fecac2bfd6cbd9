/** The alerts on a registry VM, by the metrics that one of its caches shows (`metricsPort`) with the VM's own below. */
import { type RuleGroup, ruleGroup } from "../alertRules.ts";

/** What is left of the disk: the smaller of two shares, bytes and files. */
const LEFT =
	'min by (instance, job) (label_replace(registry_vm_disk_available_bytes / registry_vm_disk_size_bytes, "of", "bytes", "", "") or label_replace(registry_vm_disk_files_free / registry_vm_disk_files, "of", "files", "", ""))';

/** Of the manifests asked for within a day, those that had to be fetched. */
const MISSES =
	"increase(registry_cache_manifest_misses_total[1d]) / increase(registry_cache_manifest_requests_total[1d])";

/** Every registry with metrics has it, whether it is asked or not. */
const METRIC = 'registry_http_in_flight_requests{handler="base"}';

/** `runbooks` is what the links begin with. */
export function registryAlerts(runbooks: string): RuleGroup {
	return ruleGroup("registry-vm", runbooks, [
		{
			alert: "DockerRegistryDown",
			severity: "critical",
			// Not by absent(): where nothing scrapes the metrics, there is nothing to miss.
			expr: `max by (instance, job) (max_over_time(${METRIC}[1w])) unless max by (instance, job) (${METRIC})`,
			for: "10m",
			summary: "Nobody reaches {{ $labels.instance }} any more: the registry VM, its nginx or its cache is down",
			description: "Pulls through it fail. It fires for a week after a registry was taken away on purpose: silence it.",
			runbook: "registry-vm.md#something-is-wrong-on-the-vm",
		},
		{
			alert: "RegistryDiskNearlyFull",
			severity: "warning",
			expr: `${LEFT} < 0.15`,
			for: "15m",
			summary: "{{ $value | humanizePercentage }} of the disk of {{ $labels.instance }} is left",
			description:
				"Of bytes or of files, whichever is less. Pushes, and pulls of what a cache lacks, fail when it is full.",
			runbook: "registry-vm.md#the-disk-is-full",
		},
		{
			alert: "RegistryDiskFull",
			severity: "critical",
			expr: `${LEFT} < 0.05`,
			for: "5m",
			summary: "{{ $value | humanizePercentage }} of the disk of {{ $labels.instance }} is left",
			description: "Pushes, and pulls of what a cache lacks, fail when it is full.",
			runbook: "registry-vm.md#the-disk-is-full",
		},
		{
			alert: "RegistryMeasurementsStale",
			severity: "warning",
			expr: "time() - max by (instance, job) (registry_vm_measured_timestamp) > 3600",
			for: "15m",
			summary:
				"{{ $labels.instance }} was last measured {{ $value | humanizeDuration }} ago, so a full disk is not seen",
			description: "Its cron measures every five minutes, and writes to /var/log/registry-measure.log why it can't.",
			runbook: "registry-vm.md#something-is-wrong-on-the-vm",
		},
		{
			alert: "RegistryCacheHitRateLow",
			severity: "warning",
			// With few requests, the share of misses means nothing.
			expr: `${MISSES} > 0.5 and increase(registry_cache_manifest_requests_total[1d]) > 100`,
			for: "1h",
			summary:
				"The cache {{ $labels.registry }} had to fetch {{ $value | humanizePercentage }} of what it was asked for within a day",
			description:
				"It saves little, and its upstream may limit it: is it too small for what it holds, or was it emptied?",
			runbook: "registry-vm.md#the-disk-is-full",
		},
		{
			alert: "RegistryScanFoundBroken",
			severity: "warning",
			expr: "sum by (instance, job, registry, problem) (registry_scan_findings) > 0",
			for: "15m",
			summary: "The last scan of {{ $labels.registry }} found {{ $value }} times: {{ $labels.problem }}",
			description: "What is broken in its storage, and is not what the scan takes away by itself.",
			runbook: "registry-rebuild-image.md#more-than-one-image-is-broken",
		},
		{
			alert: "RegistryScanStale",
			severity: "warning",
			expr: "time() - max by (instance, job) (registry_scan_last_run_timestamp) > 3 * 86400",
			for: "1h",
			summary: "The storage of {{ $labels.instance }} was last scanned {{ $value | humanizeDuration }} ago",
			description: "Its cron does each night, and writes to /var/log/registry-fix-blobs.log why it can't.",
			runbook: "registry-vm.md#something-is-wrong-on-the-vm",
		},
	]);
}
