/** What the probe, its metrics and its alerts are called. */

/** Of the CronJob, and the `job` of its metrics. */
export const PROBE = "registry-integrity-probe";
/** What its metrics' names begin with. */
export const METRIC = "registry_manifest_integrity";
/** What the names of the metrics of the registry's certificate begin with. */
export const CERTIFICATE = "registry_certificate";
/** How often the probe runs, in seconds. */
export const INTERVAL = 15 * 60;
/** How long a run goes on, in seconds, before it is ended from outside, by the Job's deadline. */
export const DEADLINE = INTERVAL - 60;
/** How long a run begins something new, in seconds. */
export const BUDGET = DEADLINE - 180;
/** How long a run waits for an answer, in seconds: what has none by then is inconclusive, and there is time to say so. */
export const PATIENCE = DEADLINE - 60;
