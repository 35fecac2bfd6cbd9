import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import type { Config } from "../../config.ts";
import { alertGroups } from "./alerts.ts";
import { probeCredentials, probeFiles, probeSpec } from "./cronJob.ts";
import { integrityDashboard } from "./dashboard.ts";
import { PROBE } from "./probe/probe.ts";

export interface IntegrityMonitoringArgs {
	config: Config;
}

/** The probe of the private registry's images, its alerts and its dashboard, in the cluster. */
export class IntegrityMonitoring extends pulumi.ComponentResource {
	constructor(name: string, { config }: IntegrityMonitoringArgs, options?: pulumi.ComponentResourceOptions) {
		super("homelab:registry:IntegrityMonitoring", name, {}, options);
		const { namespace, rules } = config.monitoring;
		const provider = new kubernetes.Provider(
			`${name}-cluster`,
			config.kubeconfig === undefined ? {} : { kubeconfig: pulumi.secret(config.kubeconfig) },
			{ parent: this },
		);
		const child = { parent: this, provider };
		const metadata = (of: string) => ({ name: of, namespace });

		const program = new kubernetes.core.v1.ConfigMap(
			`${name}-program`,
			{ metadata: metadata(PROBE), data: probeFiles(config) },
			child,
		);
		const credentials = new kubernetes.core.v1.Secret(
			`${name}-credentials`,
			{ metadata: metadata(PROBE), data: encoded(probeCredentials(config)) },
			child,
		);
		new kubernetes.batch.v1.CronJob(
			`${name}-probe`,
			{ metadata: metadata(PROBE), spec: probeSpec(config) },
			{ ...child, dependsOn: [program, credentials] },
		);

		const groups = alertGroups(config);
		if (rules === "PrometheusRule") {
			new kubernetes.apiextensions.CustomResource(
				`${name}-rules`,
				{
					apiVersion: "monitoring.coreos.com/v1",
					kind: "PrometheusRule",
					metadata: metadata("registry-integrity"),
					spec: { groups },
				},
				child,
			);
		} else {
			const data = { "registry-integrity.yml": stringify({ groups }) };
			new kubernetes.core.v1.ConfigMap(`${name}-rules`, { metadata: metadata("registry-integrity"), data }, child);
		}
		new kubernetes.core.v1.ConfigMap(
			`${name}-dashboard`,
			{
				metadata: { ...metadata("registry-integrity-dashboard"), labels: { grafana_dashboard: "1" } },
				data: { "registry-integrity.json": integrityDashboard() },
			},
			child,
		);
		this.registerOutputs({});
	}
}

/** As a Secret has its data; the values stay secret on the way. */
function encoded(values: Record<string, string>): Record<string, pulumi.Output<string>> {
	return Object.fromEntries(
		Object.entries(values).map(([key, value]) => [key, pulumi.secret(Buffer.from(value).toString("base64"))]),
	);
}
