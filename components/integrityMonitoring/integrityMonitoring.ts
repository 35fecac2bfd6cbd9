import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { IntegrityMonitoringArgs } from "./args.ts";
import {
	alertRules,
	credentialsData,
	credentialsSecret,
	dashboardConfigMap,
	probeCronJob,
	programConfigMap,
} from "./objects.ts";

/** The probe of the private registry's images, its alerts and its dashboard, in the cluster. */
export class IntegrityMonitoring extends pulumi.ComponentResource {
	/** The name of the CronJob, `<namespace>/<name>`. */
	readonly cronJob: pulumi.Output<string>;

	constructor(
		name: string,
		{ secrets, ca, ...settings }: IntegrityMonitoringArgs,
		options?: pulumi.ComponentResourceOptions,
	) {
		super("homelab:registry:IntegrityMonitoring", name, {}, options);
		const { context } = settings;
		const provider = new kubernetes.Provider(`${name}-cluster`, context === undefined ? {} : { context }, {
			parent: this,
			// Handed a kubeconfig, the published plugin leaves a copy of it in the temporary folder, token and all. Left
			// alone, the SDK hands it what KUBECONFIG says; the plugin finds that by itself.
			transformations: [({ props, opts }) => ({ props: { ...props, kubeconfig: undefined }, opts })],
		});
		const child = { parent: this, provider };

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
