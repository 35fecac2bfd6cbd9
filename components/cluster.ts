/** The Kubernetes cluster, for all concepts that have objects in it. */
import { once } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";
import type { V1Secret } from "@kubernetes/client-node";
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
 * In a preview, says of each object that exists and was never written by Pulumi who made it, and what becomes of it; and of
 * each what an update would leave in it that is not declared. Never fails: what could not be looked at is said, too.
 * Resolves with true where none of them was ever written by Pulumi, which is so before the first update.
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
			const isOurs = managers.some((manager) => manager.startsWith(OURS));
			if (!isOurs) {
				const others = [...new Set(managers.filter((manager) => !SYSTEM.test(manager)))].join(", ") || "somebody else";
				await pulumi.log.warn(
					`${kind} ${namespace}/${name} exists, written by ${others}: it is taken over, and its fields become what is declared here. Take it out of there (of Terraform by "terraform state rm"), or the two undo each other's work`,
				);
			}
			const left = kind === "CronJob" ? leftBeside(live, declared, isOurs) : [];
			if (left.length > 0)
				await pulumi.log.warn(
					`${kind} ${namespace}/${name} has what is not declared (${left.join(", ")}), and an update leaves that in it: delete it before the update, which makes it anew (kubectl --namespace ${namespace} delete ${kind.toLowerCase()} ${name})`,
				);
			return isOurs;
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

/** The client takes a while to load, in which this thread would register nothing. Throws where it is not known. */
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

/** What an update leaves beside the declared entries, such as `env: DEBUG`. */
function leftBeside({ metadata, spec }: Live, declared: Named, isOurs: boolean): string[] {
	const fields = metadata?.managedFields ?? [];
	// Of an object that is ours, the plugin makes kubectl's fields ours, too, and so takes them away.
	const stays = (entry: string) =>
		!isOurs || fields.some(({ manager, fieldsV1 }) => !manager?.startsWith("kubectl") && hasEntry(fieldsV1, entry));
	const beside = entriesBeside(spec, declared.spec).filter(({ entry }) => stays(entry));
	return beside.map(({ list, entry }) => `${list}: ${entry}`);
}

/**
 * What lists of named things, such as containers and their variables, have that is not declared. The API server merges
 * such lists by name, so that what somebody else wrote stays beside what is declared.
 */
export function entriesBeside(found: unknown, declared: unknown, list = ""): { list: string; entry: string }[] {
	if (Array.isArray(found)) {
		if (!found.every(isNamed)) return [];
		const ours = Array.isArray(declared) ? declared.filter(isNamed) : [];
		return found.flatMap((one) => {
			const same = ours.find(({ name }) => name === one.name);
			return same === undefined ? [{ list, entry: one.name }] : entriesBeside(one, same, list);
		});
	}
	if (!isObject(found)) return [];
	return Object.entries(found).flatMap(([key, value]) =>
		entriesBeside(value, isObject(declared) ? declared[key] : undefined, key),
	);
}

/** Whether fields, as the API server notes who owns them, have an entry of that name in a list. */
function hasEntry(fields: unknown, name: string): boolean {
	return (
		isObject(fields) &&
		Object.entries(fields).some(([key, inner]) => key === `k:{"name":${JSON.stringify(name)}}` || hasEntry(inner, name))
	);
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNamed(value: unknown): value is { name: string } {
	return isObject(value) && typeof value["name"] === "string";
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
	const api = kubernetesClient(context);
	const selector = "type=kubernetes.io/dockerconfigjson";
	const none = undefined;
	const { items } = await api.list<V1Secret>("v1", "Secret", none, none, none, none, selector);
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
