/** A Grafana dashboard in the cluster, for all concepts that have one. */

/** The ConfigMap `<name>-dashboard` with the dashboard's JSON, for a Grafana whose sidecar looks for that label. */
export function dashboardObject(name: string, namespace: string, json: string) {
	return {
		apiVersion: "v1" as const,
		kind: "ConfigMap" as const,
		metadata: { name: `${name}-dashboard`, namespace, labels: { grafana_dashboard: "1" } },
		data: { [`${name}.json`]: json },
	};
}
