/** The Kubernetes cluster, for all concepts that have objects in it. */
import * as kubernetes from "@pulumi/kubernetes";

/**
 * The provider of the cluster of that context of the kubeconfig that kubectl would use: the current one, where it is
 * undefined. One plugin process serves all who are given it.
 */
export function clusterProvider(context: string | undefined, aliases: string[]): kubernetes.Provider {
	return new kubernetes.Provider("cluster", context === undefined ? {} : { context }, {
		aliases,
		// Handed a kubeconfig, the published plugin leaves a copy of it in the temporary folder, token and all. Left
		// alone, the SDK hands it what KUBECONFIG says; the plugin finds that by itself.
		transformations: [({ props, opts }) => ({ props: { ...props, kubeconfig: undefined }, opts })],
	});
}
