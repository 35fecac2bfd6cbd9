/** The alerts on the probe's metrics. */
import { type Alert, type RuleGroup, ruleGroup } from "../alertRules.ts";
import type { IntegritySettings } from "./args.ts";
import { CERTIFICATE, METRIC, PROBE } from "./names.ts";

const HOUR = 3600;

/** As both a PrometheusRule and a rules file have them. */
export function alertGroups({ namespace, runbooks }: Pick<IntegritySettings, "namespace" | "runbooks">): RuleGroup[] {
	const rule = ({ section, ...alert }: Omit<Alert, "runbook"> & { section: string }): Alert => ({
		...alert,
		runbook: `registry-rebuild-image.md#${section}`,
	});
	// A Prometheus that scrapes the Pushgateway without honor_labels calls it exported_job.
	const ofProbe = (expr: (selector: string) => string) =>
		["job", "exported_job"].map((label) => expr(`${label}="${PROBE}"`)).join(" or ");
	return [
		ruleGroup("registry-integrity", runbooks, [
			rule({
				alert: "RegistryManifestIntegrityFailure",
				severity: "critical",
				expr: `${METRIC}_failures > 0`,
				for: "30m",
				summary: "Images in {{ $labels.instance }} are broken: {{ $value }} pieces are missing or wrong",
				description: "The probe's log names each of them.",
				section: "an-image-is-broken",
			}),
			rule({
				alert: "RegistryCatalogInaccessible",
				severity: "critical",
				expr: `${METRIC}_catalog_accessible == 0`,
				for: "15m",
				summary: "{{ $labels.instance }} is not the registry it should be, or does not give its catalog",
				description: "The probe looked at nothing; its log says why.",
				section: "the-registry-can-not-be-looked-at",
			}),
			rule({
				alert: "RegistryIntegrityProbeStale",
				severity: "warning",
				expr: `time() - ${METRIC}_last_run_timestamp > ${HOUR}`,
				for: "15m",
				summary:
					"The probe of {{ $labels.instance }} no longer runs: the last time was {{ $value | humanizeDuration }} ago",
				description: "Its CronJob is suspended, gone, or can't start a pod.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryIntegrityProbeIncomplete",
				severity: "warning",
				expr: `time() - ${METRIC}_last_success_timestamp > ${HOUR}`,
				for: "15m",
				summary: "The probe of {{ $labels.instance }} has not told everything for {{ $value | humanizeDuration }}",
				description: "Its log says what was not answered.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryIntegrityProbeNeverRan",
				severity: "warning",
				expr: `absent(${METRIC}_last_run_timestamp)`,
				for: "1h",
				summary: "There is no metric of the registry's integrity",
				description: "The probe never ran, or never reached the Pushgateway, or that one has lost what it knew.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "PushgatewayAbsent",
				severity: "warning",
				expr: "absent(pushgateway_build_info)",
				for: "15m",
				summary: "Prometheus does not see the Pushgateway",
				description: "What the probe finds reaches nobody.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryIntegrityProbeJobFailing",
				severity: "warning",
				expr: `max(max_over_time(kube_job_status_failed{job_name=~"${PROBE}-.+", namespace="${namespace}"}[20m])) > 0`,
				for: "30m",
				summary: "The probe's jobs fail",
				description: `kubectl --namespace ${namespace} logs --selector app=${PROBE} says why.`,
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryIntegrityPushFailing",
				severity: "warning",
				expr: ofProbe((probe) => `push_failure_time_seconds{${probe}} > push_time_seconds{${probe}}`),
				for: "15m",
				summary: "The Pushgateway refuses the probe's metrics",
				description: "Its log says why.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryIntegrityPushStale",
				severity: "warning",
				// By the Pushgateway's own clock, and of the group that every run replaces.
				expr: ofProbe((probe) => `time() - push_time_seconds{${probe}, result=""} > ${HOUR}`),
				for: "15m",
				summary: "The probe of {{ $labels.instance }} last pushed {{ $value | humanizeDuration }} ago",
				description: "It does not run, or does not reach the Pushgateway.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryIntegrityCoverageDropped",
				severity: "warning",
				// A run that checked only a share of a large registry has no count of all repositories.
				expr: `${METRIC}_repos_checked < 0.5 * max_over_time(${METRIC}_repos_checked[1d]) unless on (instance) ${METRIC}_coverage < 1`,
				for: "30m",
				summary: "{{ $labels.instance }} has less than half of its repositories: {{ $value }} are left",
				description: "A day ago there were more than twice as many.",
				section: "repositories-are-gone",
			}),
			rule({
				alert: "RegistryIntegrityShareTooSmall",
				severity: "warning",
				expr: `${METRIC}_coverage < 0.1`,
				for: "2h",
				summary: "A run looks at {{ $value | humanizePercentage }} of {{ $labels.instance }}",
				description:
					"It is too large, or too slow, for the time of a run: an image that breaks is noticed hours later.",
				section: "the-probe-does-not-tell",
			}),
			rule({
				alert: "RegistryCertificateExpiring",
				severity: "warning",
				expr: `${CERTIFICATE}_days_left < 14`,
				for: "1h",
				summary: 'The certificate of {{ $labels.instance }} ends in {{ $value | printf "%.0f" }} days',
				description: "After that, no client takes it: nothing can be pulled or pushed there.",
				section: "the-certificate",
			}),
			rule({
				alert: "RegistryCertificateNotDeclared",
				severity: "warning",
				expr: `${CERTIFICATE}_as_declared == 0`,
				for: "1h",
				summary: "{{ $labels.instance }} shows another certificate than the one that is declared",
				description: "A renewal has not reached the VM, or somebody replaced it there.",
				section: "the-certificate",
			}),
			rule({
				alert: "RegistryIntegrityTimestampInFuture",
				severity: "warning",
				expr: `${METRIC}_last_run_timestamp - time() > 300`,
				for: "5m",
				summary: "A clock is wrong: the probe's last run is {{ $value | humanizeDuration }} in the future",
				description: "Until then, nobody notices that the probe no longer runs.",
				section: "the-probe-does-not-tell",
			}),
		]),
	];
}
