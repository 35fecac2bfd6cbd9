/** The alerts on the drift run's metrics. */
import { type RuleGroup, ruleGroup } from "../alertRules.ts";
import { JOB } from "./names.ts";

/** `runbooks` is what the links begin with. */
export function driftAlerts(runbooks: string): RuleGroup[] {
	const severity = "warning" as const;
	// A Prometheus that scrapes the Pushgateway without honor_labels calls it exported_job.
	const ofRun = (expr: (selector: string) => string) =>
		["job", "exported_job"].map((label) => expr(`${label}="${JOB}"`)).join(" or ");
	return [
		ruleGroup("drift-detection", runbooks, [
			{
				alert: "DriftDetectionStale",
				severity,
				expr: "time() - max(drift_detection_last_run_timestamp) > 26*3600",
				for: "30m",
				summary: "Drift is no longer looked for: the last run was {{ $value | humanizeDuration }} ago",
				description: "The pipeline drift-detection runs every day; its log says why it does not end.",
				runbook: "drift.md#the-run-does-not-run",
			},
			{
				alert: "DriftDetectionNeverRan",
				severity,
				expr: "absent(drift_detection_last_run_timestamp)",
				for: "26h",
				summary: "There is no metric of any drift run",
				description: "The run never was, or never reached the Pushgateway, or that one has lost what it knew.",
				runbook: "drift.md#the-run-does-not-run",
			},
			{
				alert: "DriftPushStale",
				severity,
				// By the Pushgateway's own clock: the run's may be wrong.
				expr: ofRun((run) => `time() - push_time_seconds{${run}} > 26*3600`),
				for: "30m",
				summary: "The drift run's metrics are {{ $value | humanizeDuration }} old",
				description: "The run does not reach the Pushgateway, or does not run.",
				runbook: "drift.md#the-run-does-not-run",
			},
			{
				alert: "DriftUnaddressed",
				severity,
				expr: "max(drift_stack_age_hours) > 72",
				for: "1h",
				summary: "A stack has drifted for {{ $value | humanize }} hours",
				description: "npm run drift -- STACK shows what differs; drift_resource_info has the resources.",
				runbook: "drift.md#a-stack-has-drifted",
			},
			{
				alert: "DriftStacksMany",
				severity,
				expr: "drift_stack_count > 10",
				for: "30m",
				summary: "{{ $value }} stacks have drifted at once",
				description: "That is rarely the estate: look at the checkout and at the plugins' versions first.",
				runbook: "drift.md#many-stacks-at-once",
			},
			{
				alert: "DriftStackErrored",
				severity,
				expr: "drift_error_count > 0",
				for: "2h",
				summary: "Of {{ $value }} stacks it can't be told whether they have drifted",
				description: "npm run drift -- STACK says why.",
				runbook: "drift.md#it-could-not-be-told",
			},
		]),
	];
}
