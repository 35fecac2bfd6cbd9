/** The alert on a registry VM that nobody reaches, by the metrics of its caches (`metricsPort`). */
import { type RuleGroup, ruleGroup } from "../alertRules.ts";

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
	]);
}
