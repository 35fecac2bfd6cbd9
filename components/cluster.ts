/** The Kubernetes cluster, for all concepts that have objects in it. */
import { once } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Answer, Live, Named, Question } from "./clusterThread.ts";
import { kubernetesClient } from "./kubernetesClient.ts";

/**
 * The provider of the cluster of that context of the kubeconfig that kubectl would use: the current one, where it is
 * undefined. One plugin process serves all who are given it. An object that exists already is taken over, which
 * `reportAdoptions` says beforehand.
 */
export function clusterProvider(context: string | undefined, aliases: string[]): kubernetes.Provider {
	const args = {
		upsertExistingObjects: true,
		// Without it, the API server refuses what somebody else has set otherwise, be it Terraform or a dashboard.
		enablePatchForce: true,
		// Without these, what changes is deleted first, and a probe that starts in that moment fails.
		enableConfigMapMutable: true,
		enableSecretMutable: true,
		...(context !== undefined && { context }),
	};
	return new kubernetes.Provider("cluster", args, {
		aliases,
		// Handed a kubeconfig, the published plugin leaves a copy of it in the temporary folder, token and all. Left
		// alone, the SDK hands it what KUBECONFIG says; the plugin finds that by itself.
		transformations: [({ props, opts }) => ({ props: { ...props, kubeconfig: undefined }, opts })],
	});
}

/** What the plugin, and the lab's stand-in for it, call themselves to the API server. */
const OURS = "pulumi-kubernetes";
/** Kubernetes' own, who write into every object. */
const SYSTEM = /^(kube-|kubelet)/;

/**
 * In a preview, says of each object that exists and was never written by Pulumi who made it, and what becomes of it. Never
 * fails: what could not be looked at is said, too. Resolves with true where none of them was ever written by Pulumi, which
 * is so before the first update.
 */
export async function reportAdoptions(context: string | undefined, objects: Named[]): Promise<boolean> {
	if (!pulumi.runtime.isDryRun()) return false;
	try {
		const found = await inThread({ context, objects });
		const ours = objects.map(async (declared, i) => {
			const { kind, metadata } = declared;
			const { name, namespace } = metadata;
			const live = found[i];
			if (live === undefined) return false;
			const managers = (live.metadata?.managedFields ?? []).map(({ manager = "" }) => manager);
			if (managers.some((manager) => manager.startsWith(OURS))) return true;
			const others = [...new Set(managers.filter((manager) => !SYSTEM.test(manager)))].join(", ") || "somebody else";
			await pulumi.log.warn(
				`${kind} ${namespace}/${name} exists, written by ${others}: it is taken over, and its fields become what is declared here. Take it out of there (of Terraform by "terraform state rm"), or the two undo each other's work`,
			);
			const beside = containersBeside(live, declared);
			if (beside.length > 0)
				await pulumi.log.warn(
					`${kind} ${namespace}/${name} has containers that are not declared (${beside.join(", ")}), and they would run beside the declared ones: delete it before the update (kubectl --namespace ${namespace} delete ${kind.toLowerCase()} ${name})`,
				);
			return false;
		});
		return !(await Promise.all(ours)).some(Boolean);
	} catch (error) {
		await pulumi.log.warn(
			`could not tell which objects exist in the cluster already, and would be taken over: ${(error as Error).message.split("\n")[0]}`,
		);
		return false;
	}
}

let thread: Worker | undefined;

/** The client takes half a second to load, in which this thread would register nothing. Throws where it is not known. */
async function inThread(question: Question): Promise<(Live | undefined)[]> {
	thread ??= new Worker(new URL("./clusterThread.ts", import.meta.url));
	thread.unref();
	const { port1, port2 } = new MessageChannel();
	thread.postMessage({ question, port: port2 }, [port2]);
	// The second one throws what the thread died of.
	const [answer] = (await Promise.race([once(port1, "message"), once(thread, "exit")])) as [Answer];
	port1.close();
	if (answer.error !== undefined) throw new Error(answer.error);
	return answer.found;
}

/**
 * The names of the containers of a CronJob's pods that are not declared. The API server merges lists of containers by
 * name, so what somebody else wrote stays.
 */
export function containersBeside(found: object, declared: object): string[] {
	const names = (object: object) => {
		const { spec } = object as { spec?: { jobTemplate?: { spec?: { template?: { spec?: Pod } } } } };
		const pod = spec?.jobTemplate?.spec?.template?.spec;
		return [...(pod?.containers ?? []), ...(pod?.initContainers ?? [])].map(({ name }) => name);
	};
	const ours = names(declared);
	return names(found).filter((name) => !ours.includes(name));
}

interface Pod {
	containers?: { name: string }[];
	initContainers?: { name: string }[];
}

/** A secret with which the cluster's nodes log in to a registry. */
export interface PullSecret {
	namespace: string;
	name: string;
	/** As it is written there, for example `registry.example.com:5050`. */
	registry: string;
	/** Undefined where it has none that can be read. */
	password: string | undefined;
}

/** Those of all namespaces for the registries of these host names, whatever the port. Throws where the cluster does not answer. */
export async function pullSecrets(context: string | undefined, hostnames: string[]): Promise<PullSecret[]> {
	const { CoreV1Api, config } = await kubernetesClient(context);
	const api = config.makeApiClient(CoreV1Api);
	const { items } = await api.listSecretForAllNamespaces({ fieldSelector: "type=kubernetes.io/dockerconfigjson" });
	return items.flatMap(({ metadata, data }) => {
		const { namespace = "", name = "" } = metadata ?? {};
		return Object.entries(authsOf(data?.[".dockerconfigjson"] ?? ""))
			.filter(([registry]) => hostnames.includes(registry.replace(/^https?:\/\//, "").replace(/[:/].*$/, "")))
			.map(([registry, { password, auth = "" }]) => ({
				...{ namespace, name, registry },
				password:
					password ??
					Buffer.from(auth, "base64")
						.toString()
						.replace(/^[^:]*:/, ""),
			}));
	});
}

function authsOf(encoded: string): Record<string, { password?: string; auth?: string }> {
	try {
		return JSON.parse(Buffer.from(encoded, "base64").toString()).auths ?? {};
	} catch {
		return {}; // Kubernetes takes none that is not JSON.
	}
}
