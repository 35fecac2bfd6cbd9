/** Every alert that a stack declares, of all concepts. */
import type { RuleGroup } from "../components/alertRules.ts";
import { driftAlerts } from "../components/driftDetection/alerts.ts";
import { alertGroups } from "../components/integrityMonitoring/alerts.ts";
import { keyAlerts } from "../components/keyMirror/keyAge.ts";
import { registryAlerts } from "../components/registryVm/alerts.ts";

/** `namespace` is that of the probe; `runbooks` is what the links begin with. */
export function allAlerts(settings: { namespace: string; runbooks: string }): RuleGroup[] {
	const { runbooks } = settings;
	return [...alertGroups(settings), ...driftAlerts(runbooks), keyAlerts(runbooks), registryAlerts(runbooks)];
}
