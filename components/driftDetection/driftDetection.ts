import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Cron } from "../../woodpecker/resources.ts";
import { reportAdoptions } from "../cluster.ts";
import { JOB, SCHEDULE } from "./names.ts";
import { type DriftDetectionSettings, driftDashboardConfigMap, driftRules } from "./objects.ts";

export interface DriftDetectionArgs extends DriftDetectionSettings {
	/** The Woodpecker that runs it; nobody does, where it is undefined. */
	woodpecker: { server?: string | undefined; repository: number } | undefined;
}

/** The alerts, the dashboard and the schedule of the drift run; the run itself is `npm run drift`. */
export class DriftDetection extends pulumi.ComponentResource {
	constructor(
		name: string,
		{ woodpecker, ...settings }: DriftDetectionArgs,
		options?: pulumi.ComponentResourceOptions,
	) {
		super("homelab:drift:DriftDetection", name, {}, options);
		const child = { parent: this };
		void reportAdoptions(settings.context, [driftRules(settings), driftDashboardConfigMap(settings)]);
		const rules = driftRules(settings);
		if (rules.kind === "PrometheusRule") new kubernetes.apiextensions.CustomResource(`${name}-rules`, rules, child);
		else new kubernetes.core.v1.ConfigMap(`${name}-rules`, rules, child);
		new kubernetes.core.v1.ConfigMap(`${name}-dashboard`, driftDashboardConfigMap(settings), child);
		if (woodpecker) new Cron(`${name}-cron`, { ...woodpecker, name: JOB, schedule: SCHEDULE }, child);
		this.registerOutputs({});
	}
}
