/** The arguments of IntegrityMonitoring: the key `monitoring` of the config, and what index.ts adds to it. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { Servers } from "./former.ts";

/** The canary's repository by default. */
export const CANARY = "canary";

export const monitoringConfig = z.strictObject({
	context: z
		.string()
		.min(1)
		.optional()
		.describe(
			"The context of the kubeconfig that kubectl would use (KUBECONFIG, or its default path). The current one by default.",
		),
	namespace: z
		.string()
		.regex(/^[a-z0-9-]+$/, "is not a namespace")
		.describe("The namespace of the CronJob and all that it needs."),
	pushgateway: z
		.url({ protocol: /^https?$/, error: "is not a URL with http or https" })
		.describe("The URL of the Pushgateway, as the cluster's pods reach it."),
	rules: z.enum(["PrometheusRule", "ConfigMap"]).describe("How Prometheus takes its rules there."),
	runbooks: z
		.string()
		.default("docs/runbooks")
		.describe("What the alerts' runbook links begin with. docs/runbooks, a path in this repository, by default."),
	grafanaFolder: z
		.string()
		.min(1)
		.optional()
		.describe("The Grafana folder of the dashboards (the annotation grafana_folder). Grafana's own choice by default."),
	podLabels: z
		.record(z.string(), z.string())
		.default({})
		.describe("Further labels of the probe's pods, which win over its own. None by default."),
	podAnnotations: z
		.record(z.string(), z.string())
		.default({})
		.describe("Further annotations of the probe's pods, which win over its own. None by default."),
	canary: z
		.string()
		.regex(/^[a-z0-9]+([./_-][a-z0-9]+)*$/, "is not a repository's name")
		.default(CANARY)
		.describe("A repository that is always in the private registry. canary by default."),
});

export type MonitoringConfig = z.output<typeof monitoringConfig>;

/** What decides which objects there are; no part of it is a secret. */
export interface IntegritySettings extends MonitoringConfig {
	/**
	 * What the names of the objects end with. Empty for the first registry, which brings the alerts and the dashboard for
	 * all of them.
	 */
	suffix: string;
	/** The image with Node.js in which the probe runs. */
	image: string;
	/** The registry that is probed: how it names itself, the name in its certificate, its port, and where it is for the pods, if not at its name. */
	registry: { name: string; hostname: string; port: number; address?: string | undefined };
	/** The SHA-256 fingerprint of the certificate that it should show, as openssl prints it; without it, any will do. */
	certificate?: string | undefined;
}

export interface IntegritySecrets {
	/** The registry's user. */
	registryUser: string;
	/** The registry's password. */
	registryPassword: string;
}

export interface IntegrityMonitoringArgs extends IntegritySettings {
	/** Credentials of the registry. Each one may be an output. */
	secrets: { [Key in keyof IntegritySecrets]: pulumi.Input<IntegritySecrets[Key]> };
	/** The CA that signed the registry's certificate, PEM. The public ones by default. */
	ca?: string | undefined;
	/** Where a preview looks for what monitored the registry before. Nowhere by default. */
	servers?: Servers | undefined;
}
