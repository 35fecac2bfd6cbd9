/** What the probe, its metrics and its alerts are called. */

/** Of the CronJob, and the `job` of its metrics. */
export const PROBE = "registry-integrity-probe";
/** What its metrics' names begin with. */
export const METRIC = "registry_manifest_integrity";
/** What the names of the metrics of the registry's certificate begin with. */
export const CERTIFICATE = "registry_certificate";
/** How often the probe runs, in seconds. */
export const INTERVAL = 15 * 60;
