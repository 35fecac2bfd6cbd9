/** Every Kubernetes object of the monitoring, as the cluster gets it. */
import { rulesObject } from "../alertRules.ts";
import { dashboardObject } from "../dashboardObject.ts";
import { alertGroups } from "./alerts.ts";
import type { IntegritySecrets, IntegritySettings } from "./args.ts";
import { integrityDashboard } from "./dashboard.ts";
import { DEADLINE, INTERVAL, PROBE } from "./names.ts";
import { probeProgram } from "./program.ts";

/** Of the objects with the alerts, and the beginning of the dashboard's. */
const NAME = "registry-integrity";

/** A sidecar would go on when the probe has ended, and its Job with it, for ever. */
const NO_SIDECAR = { "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled" };

/** Of the CronJob, and of what it reads. */
function metadataOf({ namespace, suffix }: IntegritySettings) {
	return { name: PROBE + suffix, namespace };
}

/** The `instance` of the probe's metrics. */
function instance({ registry: { hostname, port } }: IntegritySettings): string {
	return `${hostname}:${port}`;
}

/** The probe's program, and the CA that it trusts where that is not a public one. */
export function programConfigMap(settings: IntegritySettings, ca: string | undefined) {
	return {
		apiVersion: "v1" as const,
		kind: "ConfigMap" as const,
		metadata: metadataOf(settings),
		data: {
			"probe.cjs": probeProgram(),
			...(ca !== undefined && { "ca.pem": ca }),
		},
	};
}

/** The Secret with the registry's user, without its data. */
export function credentialsSecret(settings: IntegritySettings) {
	return { apiVersion: "v1" as const, kind: "Secret" as const, metadata: metadataOf(settings) };
}

/** Its data: the environment of the probe. */
export function credentialsData({ registryUser, registryPassword }: IntegritySecrets): Record<string, string> {
	const encoded = (text: string) => Buffer.from(text).toString("base64");
	return { REGISTRY_USER: encoded(registryUser), REGISTRY_PASSWORD: encoded(registryPassword) };
}

/** The CronJob that looks at every image; `hasCa` where the program's ConfigMap has a CA. */
export function probeCronJob(settings: IntegritySettings, hasCa: boolean) {
	return {
		apiVersion: "batch/v1" as const,
		kind: "CronJob" as const,
		metadata: metadataOf(settings),
		spec: probeSpec(settings, hasCa),
	};
}

/** The alerts, in the form that Prometheus takes there. */
export function alertRules(settings: IntegritySettings) {
	return rulesObject(NAME, settings, alertGroups(settings));
}

/** The dashboard. */
export function dashboardConfigMap(settings: IntegritySettings) {
	return dashboardObject(NAME, settings, integrityDashboard());
}

/** All of them, without reaching anything: what `npm run render` writes. */
export function integrityObjects(settings: IntegritySettings, secrets: IntegritySecrets, ca: string | undefined) {
	return [
		programConfigMap(settings, ca),
		{ ...credentialsSecret(settings), data: credentialsData(secrets) },
		probeCronJob(settings, ca !== undefined),
		...(settings.suffix === "" ? [alertRules(settings), dashboardConfigMap(settings)] : []),
	];
}

/**
 * Of Node.js. What the probe keeps of an answer is little, and what it throws away would pile up until the collector
 * comes: with these it comes often, and the probe needs a third of the memory (`make bench`). Neither is a limit.
 */
export const PROBE_FLAGS = ["--max-semi-space-size=2", "--optimize-for-size"];

/** The CronJob's `spec`: no rights, no token, nothing to write to, nothing installed at run time. */
function probeSpec(settings: IntegritySettings, hasCa: boolean) {
	const { image, pushgateway, canary, registry, certificate } = settings;
	const env = {
		REGISTRY_URL: `https://${instance(settings)}`,
		REGISTRY_NAME: registry.name,
		CANARY: canary,
		PUSHGATEWAY_URL: pushgateway,
		INSTANCE: instance(settings),
		...(hasCa && { REGISTRY_CA: "/probe/ca.pem" }),
		...(certificate !== undefined && { CERTIFICATE: certificate }),
	};
	return {
		schedule: `*/${INTERVAL / 60} * * * *`,
		// Said, so that one that was suspended by hand is drift.
		suspend: false,
		concurrencyPolicy: "Forbid",
		successfulJobsHistoryLimit: 3,
		failedJobsHistoryLimit: 3,
		jobTemplate: {
			spec: {
				backoffLimit: 1,
				ttlSecondsAfterFinished: 600,
				// The next one does not start before this one has ended.
				activeDeadlineSeconds: DEADLINE,
				template: {
					metadata: {
						labels: { app: PROBE, ...NO_SIDECAR, ...settings.podLabels },
						annotations: { ...NO_SIDECAR, ...settings.podAnnotations },
					},
					spec: {
						restartPolicy: "Never",
						automountServiceAccountToken: false,
						...(registry.address !== undefined && {
							hostAliases: [{ ip: registry.address, hostnames: [registry.hostname] }],
						}),
						securityContext: {
							runAsNonRoot: true,
							runAsUser: 65532,
							runAsGroup: 65532,
							seccompProfile: { type: "RuntimeDefault" },
						},
						containers: [
							{
								name: "probe",
								image: image,
								command: ["node", ...PROBE_FLAGS, "/probe/probe.cjs"],
								env: Object.entries(env).map(([name, value]) => ({ name, value })),
								envFrom: [{ secretRef: { name: PROBE + settings.suffix } }],
								securityContext: {
									allowPrivilegeEscalation: false,
									readOnlyRootFilesystem: true,
									capabilities: { drop: ["ALL"] },
								},
								resources: {
									requests: { cpu: "50m", memory: "128Mi" },
									limits: { memory: "512Mi" },
								},
								volumeMounts: [{ name: "probe", mountPath: "/probe", readOnly: true }],
							},
						],
						volumes: [{ name: "probe", configMap: { name: PROBE + settings.suffix } }],
					},
				},
			},
		},
	};
}
