/** Kubernetes' own client for the cluster of that context of the kubeconfig that kubectl would use; it takes half a second to load. */
export async function kubernetesClient(context: string | undefined) {
	const library = await import("@kubernetes/client-node");
	const config = new library.KubeConfig();
	config.loadFromDefault();
	if (context !== undefined) config.setCurrentContext(context);
	return { ...library, config };
}
