/** The CronJob that looks at every image in the private registry, and what it reads. */
import type { Config } from "../../config.ts";
import { bundle } from "../bundle.ts";
import { INTERVAL, PROBE } from "./probe/probe.ts";

/** The program, and the CA that it trusts where that is not a public one. */
export function probeFiles({ registryCa }: Config): Record<string, string> {
	return {
		"probe.cjs": bundle(new URL("./probe/main.ts", import.meta.url), { target: "node24", format: "cjs", minify: true }),
		...(registryCa !== undefined && { "ca.pem": registryCa }),
	};
}

/** The registry's user, as the environment of the probe. */
export function probeCredentials({ registryUser, registryPassword }: Config): Record<string, string> {
	return { REGISTRY_USER: registryUser, REGISTRY_PASSWORD: registryPassword };
}

/** The `instance` of the probe's metrics. */
export function instance({ privateRegistry: { hostname, port } }: Config): string {
	return `${hostname}:${port}`;
}

/** The CronJob's `spec`: no rights, no token, nothing to write to, nothing installed at run time. */
export function probeSpec(config: Config) {
	const { images, monitoring, privateRegistry, registryCa } = config;
	const env = {
		REGISTRY_URL: `https://${instance(config)}`,
		REGISTRY_NAME: privateRegistry.name,
		CANARY: monitoring.canary,
		PUSHGATEWAY_URL: monitoring.pushgateway,
		INSTANCE: instance(config),
		...(registryCa !== undefined && { REGISTRY_CA: "/probe/ca.pem" }),
	};
	return {
		schedule: `*/${INTERVAL / 60} * * * *`,
		concurrencyPolicy: "Forbid",
		successfulJobsHistoryLimit: 3,
		failedJobsHistoryLimit: 3,
		jobTemplate: {
			spec: {
				backoffLimit: 1,
				ttlSecondsAfterFinished: 600,
				// The next one does not start before this one has ended.
				activeDeadlineSeconds: INTERVAL - 60,
				template: {
					metadata: { labels: { app: PROBE } },
					spec: {
						restartPolicy: "Never",
						automountServiceAccountToken: false,
						securityContext: {
							runAsNonRoot: true,
							runAsUser: 65532,
							runAsGroup: 65532,
							seccompProfile: { type: "RuntimeDefault" },
						},
						containers: [
							{
								name: "probe",
								image: images.node,
								command: ["node", "/probe/probe.cjs"],
								env: Object.entries(env).map(([name, value]) => ({ name, value })),
								envFrom: [{ secretRef: { name: PROBE } }],
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
						volumes: [{ name: "probe", configMap: { name: PROBE } }],
					},
				},
			},
		},
	};
}
