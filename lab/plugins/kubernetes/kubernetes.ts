/**
 * A stand-in for the published plugin `kubernetes` 4.34, for a lab that can't have that one: server-side apply of
 * just the kinds that this program declares, to a real API server. What the cluster adds by itself is not drift; a
 * declared field that differs is. As with the published plugin:
 *
 * - An object that exists already is taken over only with `upsertExistingObjects`, and then without a word.
 * - A field that somebody else has set otherwise fails the update, unless that was kubectl, in an object that is the
 *   program's already; a preview fails for kubectl's, too. `enablePatchForce` takes it from anybody.
 * - A ConfigMap whose data changes is deleted and made anew, unless `enableConfigMapMutable` is set; a Secret, unless
 *   `enableSecretMutable` is.
 *
 * Left out, and refused: auto-naming, waiting for readiness, `renderYamlToDirectory`.
 */
import { randomInt } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Agent, request } from "undici";
import { parse } from "yaml";
import { type Diff, type Properties, type PropertyChange, type ResourceType, UNKNOWN } from "../../../host/protocol.ts";

interface Kind {
	/** Where the API server has objects of it. */
	path: string;
	/** What can't be changed in place, unless that setting of the provider is true. */
	replaced?: { properties: string[]; unless: string };
}

/** By type token. */
const kinds: Record<string, Kind> = {
	"kubernetes:core/v1:ConfigMap": {
		path: "api/v1/namespaces/NAMESPACE/configmaps",
		replaced: { properties: ["data", "binaryData"], unless: "enableConfigMapMutable" },
	},
	"kubernetes:core/v1:Secret": {
		path: "api/v1/namespaces/NAMESPACE/secrets",
		replaced: { properties: ["type", "stringData", "data"], unless: "enableSecretMutable" },
	},
	"kubernetes:batch/v1:CronJob": { path: "apis/batch/v1/namespaces/NAMESPACE/cronjobs" },
	"kubernetes:monitoring.coreos.com/v1:PrometheusRule": {
		path: "apis/monitoring.coreos.com/v1/namespaces/NAMESPACE/prometheusrules",
	},
};

export const types: Record<string, ResourceType> = Object.fromEntries(
	Object.entries(kinds).map(([token, kind]) => [token, resourceType(kind)]),
);

interface Cluster {
	server: string;
	token: string;
	agent: Agent;
}

let cluster: Cluster | undefined;
/** Settled by the first request: whether the cluster answers is asked once, as by the published plugin. */
let reached: Promise<unknown> | undefined;
let settings: Properties = {};
const isSet = (setting: string) => settings[setting] === true || settings[setting] === "true";

/**
 * Takes the provider's `kubeconfig`, a text or a path, and leaves a copy of it in the temporary folder, as the published
 * plugin does; without one, uses the file that KUBECONFIG names.
 */
export function configure(given: Properties): void {
	settings = given;
	const { kubeconfig, context } = given;
	const path = process.env["KUBECONFIG"];
	if (typeof kubeconfig === "string") {
		const text = kubeconfig.startsWith("/") ? readFileSync(kubeconfig, "utf8") : kubeconfig;
		const copy = join(tmpdir(), `kubeconfig${randomInt(1_000_000_000)}`);
		writeFileSync(copy, text, { mode: 0o600 });
		cluster = clusterOf(text, context);
	} else if (path) cluster = clusterOf(readFileSync(path, "utf8"), context);
}

function clusterOf(text: string, wanted: unknown): Cluster {
	const { clusters, users, contexts, ...more } = parse(text) as {
		clusters: { name: string; cluster: { server: string; "certificate-authority-data": string } }[];
		users: { name: string; user: { token: string } }[];
		contexts: { name: string; context: { cluster: string; user: string } }[];
		"current-context": string;
	};
	const named = <Entry extends { name: string }>(entries: Entry[], name: string): Entry => {
		const found = entries.find((entry) => entry.name === name);
		if (found === undefined) throw new Error(`the kubeconfig has no "${name}"`);
		return found;
	};
	const { context } = named(contexts, typeof wanted === "string" ? wanted : more["current-context"]);
	const { server, "certificate-authority-data": ca } = named(clusters, context.cluster).cluster;
	const { token } = named(users, context.user).user;
	return { server, token, agent: new Agent({ connect: { ca: Buffer.from(ca, "base64").toString() } }) };
}

interface Metadata {
	name?: unknown;
	namespace?: unknown;
}

/** Whose fields the published plugin takes from them before it changes an object; the beginnings of their names. */
const YIELDING = ["kubectl", "before-first-apply", "pulumi-kubernetes"];

function resourceType({ path, replaced }: Kind): ResourceType {
	const metadata = (inputs: Properties) => (inputs["metadata"] ?? {}) as Metadata;
	const url = (id: string) => {
		const [namespace, name] = id.split("/") as [string, string];
		return `${path.replace("NAMESPACE", namespace)}/${name}`;
	};
	const idOf = (inputs: Properties) => `${metadata(inputs).namespace}/${metadata(inputs).name}`;
	const apply = async (inputs: Properties, preview = false): Promise<Properties> => {
		const query = `fieldManager=${OURS}&force=${isSet("enablePatchForce")}${preview ? "&dryRun=All" : ""}`;
		const { status, object } = await ask("PATCH", `${url(idOf(inputs))}?${query}`, inputs);
		if (status === 409) throw new Error(`Server-Side Apply field conflict detected.\n: ${object["message"]}`);
		if (status > 299) throw new Error(`the API server refused it: ${object["message"] ?? status}`);
		return declared(inputs, object) as Properties;
	};
	const make = async (inputs: Properties): Promise<Properties> => {
		const collection = path.replace("NAMESPACE", String(metadata(inputs).namespace));
		const { status, object } = await ask("POST", `${collection}?fieldManager=${OURS}`, inputs);
		if (status > 299) throw new Error(`${object["message"] ?? status}`);
		return declared(inputs, object) as Properties;
	};
	return {
		check(inputs) {
			const failures: Record<string, string> = {};
			for (const key of ["name", "namespace"] as const)
				if (metadata(inputs)[key] === undefined) failures[`metadata.${key}`] = "is required by the lab's stand-in";
			return { inputs, failures };
		},
		diff(state, inputs) {
			const diff: Diff = {};
			const [before, after] = [metadata(state), metadata(inputs)];
			for (const key of ["name", "namespace"] as const)
				if (before[key] !== after[key]) diff[`metadata.${key}`] = "update-replace";
			for (const key of new Set([...Object.keys(state), ...Object.keys(inputs)])) {
				if (isDeepStrictEqual(state[key], inputs[key])) continue;
				const found: Diff = {};
				differences(found, key, state[key], inputs[key]);
				const isReplaced = replaced?.properties.includes(key) && !isSet(replaced.unless);
				for (const [path, change] of Object.entries(found))
					diff[path] = isReplaced ? (`${change}-replace` as PropertyChange) : change;
			}
			return diff;
		},
		// Two can't have one name.
		deletesFirst: (state, inputs) => idOf(state) === idOf(inputs),
		async create(inputs, { preview }) {
			const id = idOf(inputs);
			if (preview) return { id, state: inputs };
			try {
				return { id, state: await (isSet("upsertExistingObjects") ? apply(inputs) : make(inputs)) };
			} catch (error) {
				const { message } = error as Error;
				throw new Error(`resource ${id} was not successfully created by the Kubernetes API server: ${message}`);
			}
		},
		async read(id, state) {
			const { status, object } = await ask("GET", url(id));
			if (status === 404) return undefined;
			if (status > 299) throw new Error(`the API server does not show it: ${object["message"] ?? status}`);
			const live = declared(state, object) as Properties;
			return { state: live, inputs: live };
		},
		async update(id, _, inputs, { preview }) {
			if (preview && JSON.stringify(inputs).includes(UNKNOWN)) return inputs;
			if (!preview) await inherit(url(id));
			return apply(inputs, preview);
		},
		async delete(id) {
			const { status, object } = await ask("DELETE", `${url(id)}?propagationPolicy=Background`);
			if (status > 299 && status !== 404) throw new Error(`the API server keeps it: ${object["message"] ?? status}`);
		},
	};
}

const OURS = "pulumi-kubernetes-lab";

interface ManagedFields {
	manager: string;
	operation: string;
	subresource?: string;
	fieldsV1: Properties;
}

/** Makes the fields ours that belong to those who yield: what we don't declare of them goes by the next apply. */
async function inherit(path: string): Promise<void> {
	const { object } = await ask("GET", path);
	const { managedFields = [], resourceVersion } = (object["metadata"] ?? {}) as {
		managedFields?: ManagedFields[];
		resourceVersion?: string;
	};
	const { yielding = [], others = [] } = Object.groupBy(managedFields, ({ manager, subresource }) =>
		subresource === undefined && YIELDING.some((name) => manager.startsWith(name)) ? "yielding" : "others",
	);
	if (yielding.every(({ manager, operation }) => manager === OURS && operation === "Apply")) return;
	const inherited = {
		...(yielding[0] as ManagedFields),
		manager: OURS,
		operation: "Apply",
		fieldsV1: yielding.map(({ fieldsV1 }) => fieldsV1).reduce(union),
	};
	const { status, object: answer } = await ask(
		"PATCH",
		path,
		{
			metadata: { resourceVersion, managedFields: [...others, inherited] },
		},
		"application/merge-patch+json",
	);
	if (status === 409) return inherit(path); // Changed meanwhile.
	if (status > 299) throw new Error(`the API server refused it: ${answer["message"] ?? status}`);
}

function union(a: Properties, b: Properties): Properties {
	const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
	return Object.fromEntries(
		[...keys].map((key) => [key, union((a[key] ?? {}) as Properties, (b[key] ?? {}) as Properties)]),
	);
}

async function ask(
	method: "GET" | "POST" | "PATCH" | "DELETE",
	path: string,
	body?: Properties,
	type = method === "POST" ? "application/json" : "application/apply-patch+yaml",
) {
	if (cluster === undefined) throw new Error("there is no kubeconfig: neither the provider nor KUBECONFIG has one");
	const { server, token, agent } = cluster;
	reached ??= request(`${server}/version`, { dispatcher: agent }).then(({ body }) => body.dump());
	await reached.catch((error: Error) => {
		throw new Error(`failed to read resource state due to unreachable cluster: ${error.message}`);
	});
	const response = await request(`${server}/${path}`, {
		method,
		dispatcher: agent,
		headers: { authorization: `Bearer ${token}`, "content-type": type },
		...(body && { body: JSON.stringify(body) }),
	});
	return { status: response.statusCode, object: (await response.body.json()) as Properties };
}

/** Of what is live, just what was declared; a list of another length is shown whole. */
function declared(wanted: unknown, live: unknown): unknown {
	if (Array.isArray(wanted) && Array.isArray(live))
		return wanted.length === live.length ? wanted.map((one, i) => declared(one, live[i])) : live;
	if (!isObject(wanted) || !isObject(live)) return live;
	const keys = Object.keys(wanted).filter((key) => live[key] !== undefined);
	return Object.fromEntries(keys.map((key) => [key, declared(wanted[key], live[key])]));
}

/** Down to the deepest property that differs, so that a preview shows a line and not an object. */
function differences(diff: Diff, path: string, before: unknown, after: unknown): void {
	if (isDeepStrictEqual(before, after)) return;
	if (isObject(before) && isObject(after)) {
		for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
			differences(diff, /^\w+$/.test(key) ? `${path}.${key}` : `${path}["${key}"]`, before[key], after[key]);
		return;
	}
	diff[path] ??= before === undefined ? "add" : after === undefined ? "delete" : "update";
}

function isObject(value: unknown): value is Properties {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
