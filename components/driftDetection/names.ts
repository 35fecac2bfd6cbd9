/** What the drift run's metrics and objects are called. */

/** The `job` of the metrics. */
export const JOB = "drift-detection";

/** When it runs: every day, before people begin to work. */
export const SCHEDULE = "0 4 * * *";

/** By metric: what it says. */
export const METRICS = {
	drift_stack_state: "0 where the stack is as declared, 1 where it has drifted, 2 where that could not be found out",
	drift_stack_first_seen: "Since when the stack has drifted, in seconds since 1970",
	drift_stack_age_hours: "How long the stack has drifted, 0 where it is as declared",
	drift_stack_last_run_timestamp: "When the stack was last looked at, in seconds since 1970",
	drift_stack_told_timestamp: "When people were last told of the stack, in seconds since 1970",
	drift_resource_info: "1 for each resource that is not as declared",
	drift_stack_count: "Stacks that have drifted",
	drift_error_count: "Stacks of which that could not be found out",
	drift_clean_count: "Stacks that are as declared",
	drift_detection_last_run_timestamp: "When the last run ended, in seconds since 1970",
} as const;

export type Metric = keyof typeof METRICS;
