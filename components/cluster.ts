/** The Kubernetes cluster, for all concepts that have objects in it. */
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

/**
 * The provider of the cluster of that context of the kubeconfig that kubectl would use: the current one, where it is
 * undefined. One plugin process serves all who are given it. An object that exists already is taken over, which
 * `reportAdoptions` says beforehand.
 */
export function clusterProvider(context: string | undefined, aliases: string[]): kubernetes.Provider {
	const args = { upsertExistingObjects: true, ...(context !== undefined && { context }) };
	return new kubernetes.Provider("cluster", args, {
		aliases,
		// Handed a kubeconfig, the published plugin leaves a copy of it in the temporary folder, token and all. Left
		// alone, the SDK hands it what KUBECONFIG says; the plugin finds that by itself.
		transformations: [({ props, opts }) => ({ props: { ...props, kubeconfig: undefined }, opts })],
	});
}

interface Named {
	apiVersion: string;
	kind: string;
	metadata: { name: string; namespace: string };
}

/** What the plugin, and the lab's stand-in for it, call themselves to the API server. */
const OURS = "pulumi-kubernetes";
/** Kubernetes' own, who write into every object. */
const SYSTEM = /^(kube-|kubelet)/;

/**
 * In a preview, says of each object that exists and was never written by Pulumi who made it, and what becomes of it. Never
 * fails: what could not be looked at is said, too.
 */
export async function reportAdoptions(context: string | undefined, objects: Named[]): Promise<void> {
	if (!pulumi.runtime.isDryRun()) return;
	try {
		// It takes half a second to load, which only a preview has to spare.
		const { KubeConfig, KubernetesObjectApi } = await import("@kubernetes/client-node");
		const config = new KubeConfig();
		config.loadFromDefault();
		if (context !== undefined) config.setCurrentContext(context);
		const api = KubernetesObjectApi.makeApiClient(config);
		await Promise.all(
			objects.map(async ({ apiVersion, kind, metadata: { name, namespace } }) => {
				const found = await api
					.read({ apiVersion, kind, metadata: { name, namespace } })
					.catch((error: { code?: number }) => {
						if (error.code === 404) return undefined;
						throw error;
					});
				const managers = (found?.metadata?.managedFields ?? []).map(({ manager = "" }) => manager);
				if (found === undefined || managers.some((manager) => manager.startsWith(OURS))) return;
				const others = [...new Set(managers.filter((manager) => !SYSTEM.test(manager)))].join(", ") || "somebody else";
				await pulumi.log.warn(
					`${kind} ${namespace}/${name} exists, written by ${others}: it is taken over, and its fields become what is declared here. Take it out of there (of Terraform by "terraform state rm"), or the two undo each other's work`,
				);
			}),
		);
	} catch (error) {
		await pulumi.log.warn(
			`could not tell which objects exist in the cluster already, and would be taken over: ${(error as Error).message.split("\n")[0]}`,
		);
	}
}
