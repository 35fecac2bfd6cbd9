import type { KubernetesObjectApi } from "@kubernetes/client-node";
import { loadBundle } from "./bundle.ts";

/** Kubernetes' own client for the cluster of that context of the kubeconfig that kubectl would use. */
export function kubernetesClient(context: string | undefined): KubernetesObjectApi {
	const entry = new URL("./kubernetesLibrary.ts", import.meta.url);
	const { KubeConfig, KubernetesObjectApi } = loadBundle<typeof import("./kubernetesLibrary.ts")>(entry);
	const config = new KubeConfig();
	config.loadFromDefault();
	if (context !== undefined) config.setCurrentContext(context);
	return KubernetesObjectApi.makeApiClient(config);
}
