import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type DriftDetectionSettings, driftDashboardConfigMap, driftRules } from "./objects.ts";

/** The alerts and the dashboard of the drift run; the run itself is `npm run drift`. */
export class DriftDetection extends pulumi.ComponentResource {
	constructor(name: string, settings: DriftDetectionSettings, options?: pulumi.ComponentResourceOptions) {
		super("homelab:drift:DriftDetection", name, {}, options);
		const child = { parent: this };
		const rules = driftRules(settings);
		if (rules.kind === "PrometheusRule") new kubernetes.apiextensions.CustomResource(`${name}-rules`, rules, child);
		else new kubernetes.core.v1.ConfigMap(`${name}-rules`, rules, child);
		new kubernetes.core.v1.ConfigMap(`${name}-dashboard`, driftDashboardConfigMap(settings), child);
		this.registerOutputs({});
	}
}
