import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { reportAdoptions } from "../cluster.ts";
import { alertGroups } from "./alerts.ts";
import type { IntegrityMonitoringArgs } from "./args.ts";
import { reportFormer } from "./former.ts";
import {
	alertRules,
	credentialsData,
	credentialsSecret,
	dashboardConfigMap,
	integrityObjects,
	probeCronJob,
	programConfigMap,
} from "./objects.ts";

/** The URN of the cluster's provider in a state of before 0.2, when it was the probe's own. */
export function formerProvider(): string {
	const parent = "homelab:registry:IntegrityMonitoring";
	return `urn:pulumi:${pulumi.getStack()}::${pulumi.getProject()}::${parent}$pulumi:providers:kubernetes::registry-integrity-cluster`;
}

/** The probe of the private registry's images, its alerts and its dashboard, in the cluster of the `provider` that its options have. */
export class IntegrityMonitoring extends pulumi.ComponentResource {
	/** The name of the CronJob, `<namespace>/<name>`. */
	readonly cronJob: pulumi.Output<string>;

	constructor(
		name: string,
		{ secrets, ca, servers = {}, ...settings }: IntegrityMonitoringArgs,
		options?: pulumi.ComponentResourceOptions,
	) {
		super("homelab:registry:IntegrityMonitoring", name, {}, options);
		const child = { parent: this };
		const objects = integrityObjects(settings, { registryUser: "", registryPassword: "" }, ca);
		void reportAdoptions(settings.context, objects).then((isFirst) => {
			if (isFirst) return reportFormer(servers, alertGroups(settings));
		});

		const program = new kubernetes.core.v1.ConfigMap(`${name}-program`, programConfigMap(settings, ca), child);
		const credentials = new kubernetes.core.v1.Secret(
			`${name}-credentials`,
			{
				...credentialsSecret(settings),
				data: pulumi.secret(pulumi.output(secrets).apply(credentialsData)),
			},
			child,
		);
		const probe = new kubernetes.batch.v1.CronJob(`${name}-probe`, probeCronJob(settings, ca !== undefined), {
			...child,
			dependsOn: [program, credentials],
		});

		this.cronJob = pulumi.interpolate`${settings.namespace}/${probe.metadata.name}`;
		this.registerOutputs({ cronJob: this.cronJob });
		if (settings.suffix !== "") return;
		const rules = alertRules(settings);
		if (rules.kind === "PrometheusRule") new kubernetes.apiextensions.CustomResource(`${name}-rules`, rules, child);
		else new kubernetes.core.v1.ConfigMap(`${name}-rules`, rules, child);
		new kubernetes.core.v1.ConfigMap(`${name}-dashboard`, dashboardConfigMap(settings), child);
	}
}
