/** Asks the cluster in a thread of its own, for cluster.ts. */
import { type MessagePort, parentPort } from "node:worker_threads";
import { kubernetesClient } from "./kubernetesClient.ts";

/** Enough of an object to find it by. */
export interface Named {
	apiVersion: string;
	kind: string;
	metadata: { name: string; namespace: string };
	/** What is declared of it, where its kind has that. */
	spec?: unknown;
}

/** Which of the objects are in the cluster of that context of the kubeconfig. */
export interface Question {
	context: string | undefined;
	objects: Named[];
}

/** An object in the cluster: who wrote it, and the rest as it is. */
export interface Live {
	metadata?: { managedFields?: { manager?: string; fieldsV1?: unknown }[] };
	spec?: unknown;
}

/** In the order of the question, undefined for what is not there; or why it is not known. */
export type Answer = { found: (Live | undefined)[]; error?: undefined } | { error: string };

parentPort?.on("message", async ({ question, port }: { question: Question; port: MessagePort }) => {
	port.postMessage(await lookUp(question).catch((error: Error): Answer => ({ error: error.message })));
});

async function lookUp({ context, objects }: Question): Promise<Answer> {
	const api = kubernetesClient(context);
	const found = objects.map(({ apiVersion, kind, metadata: { name, namespace } }) =>
		api.read({ apiVersion, kind, metadata: { name, namespace } }).catch((error: { code?: number }) => {
			if (error.code === 404) return undefined;
			throw error;
		}),
	);
	return { found: await Promise.all(found) };
}
