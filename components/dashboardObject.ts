/** A Grafana dashboard in the cluster, for all concepts that have one. */

export interface DashboardPlace {
	/** The namespace of the ConfigMap. */
	namespace: string;
	/** The Grafana folder that its sidecar puts it into; Grafana's own choice by default. */
	grafanaFolder?: string | undefined;
}

/** The ConfigMap `<name>-dashboard` with the dashboard's JSON, for a Grafana whose sidecar looks for that label. */
export function dashboardObject(name: string, { namespace, grafanaFolder }: DashboardPlace, json: string) {
	return {
		apiVersion: "v1" as const,
		kind: "ConfigMap" as const,
		metadata: {
			name: `${name}-dashboard`,
			namespace,
			labels: { grafana_dashboard: "1" },
			...(grafanaFolder !== undefined && { annotations: { grafana_folder: grafanaFolder } }),
		},
		data: { [`${name}.json`]: json },
	};
}
