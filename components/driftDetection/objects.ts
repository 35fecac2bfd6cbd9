/** Every Kubernetes object of the drift detection, as the cluster gets it. */
import { type RuleGroup, type RulesPlace, rulesObject } from "../alertRules.ts";
import { type DashboardPlace, dashboardObject } from "../dashboardObject.ts";
import { driftAlerts } from "./alerts.ts";
import { driftDashboard } from "./dashboard.ts";
import { JOB } from "./names.ts";

export interface DriftDetectionSettings extends RulesPlace, DashboardPlace {
	/** Of the kubeconfig that kubectl would use. The current one by default. */
	context?: string | undefined;
	/** What the alerts' runbook links begin with. */
	runbooks: string;
	/** Alerts on what else the drift run reports. */
	alerts: RuleGroup[];
}

/** The alerts, in the form that Prometheus takes there. */
export function driftRules(settings: DriftDetectionSettings) {
	return rulesObject(JOB, settings, [...driftAlerts(settings.runbooks), ...settings.alerts]);
}

/** The dashboard. */
export function driftDashboardConfigMap(place: DashboardPlace) {
	return dashboardObject(JOB, place, driftDashboard());
}
