/**
 * A stand-in for the published plugin `vault` 7.8, for a lab that can't have that one: `kv.SecretV2` and `Policy`, by a
 * real Vault's HTTP API. As the published one does, it looks its token up first, makes a child token of its own unless
 * `skipChildToken` is set, sends `cas` where Vault does not look for it (only `options` has an effect), knows a secret
 * again by its path, takes over what is there without a word, and normalises `dataJson`. A secret whose newest version is
 * deleted has the content `null` to it, and a policy that is gone an empty text: both are changed, not made. Left out, and
 * refused: `dataJsonWo`, `customMetadata`, namespaces.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Agent, request } from "undici";
import type { Diff, Properties, ResourceType } from "../../../host/protocol.ts";

interface Vault {
	address: string;
	token: string;
	agent: Agent;
}

let settings: Properties = {};
let vault: Promise<Vault> | undefined;

export function configure(inputs: Properties): void {
	settings = inputs;
}

/** As the published plugin finds them: the provider's inputs, else the environment, else the login's file. */
async function open(): Promise<Vault> {
	const address = String(settings["address"] ?? process.env["VAULT_ADDR"] ?? "");
	if (address === "") throw new Error("failed to configure Vault address");
	const caFile = String(settings["caCertFile"] ?? process.env["VAULT_CACERT"] ?? "");
	const agent = new Agent(caFile === "" ? {} : { connect: { ca: readFileSync(caFile, "utf8") } });
	const token = String(settings["token"] ?? process.env["VAULT_TOKEN"] ?? tokenFile());
	if (token === "") throw new Error("no vault token set on Client");
	const parent = { address, token, agent };
	const self = await ask("GET", "auth/token/lookup-self", undefined, parent).catch((error: Error) => {
		throw new Error(`failed to lookup token, err=GET ${address}/v1/auth/token/lookup-self: ${error.message}`);
	});
	if (self.status !== 200) throw new Error(`failed to lookup token, err=${words(self.status, self.body)}`);
	if (settings["skipChildToken"] === true || settings["skipChildToken"] === "true") return parent;
	const { status, body } = await ask("POST", "auth/token/create", { ttl: "20m", explicit_max_ttl: "20m" }, parent);
	if (status !== 200) throw new Error(`failed to create limited child token: ${words(status, body)}`);
	return { ...parent, token: (body["auth"] as { client_token: string }).client_token };
}

function tokenFile(): string {
	try {
		return readFileSync(join(homedir(), ".vault-token"), "utf8").trim();
	} catch {
		return "";
	}
}

async function ask(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: object, known?: Vault) {
	vault ??= known === undefined ? open() : undefined;
	const { address, token, agent } = known ?? (await (vault as Promise<Vault>));
	const answer = await request(`${address}/v1/${path}`, {
		method,
		dispatcher: agent,
		headers: { "x-vault-token": token, "content-type": "application/json" },
		...(body && { body: JSON.stringify(body) }),
	});
	const text = await answer.body.text();
	return { status: answer.statusCode, body: (text === "" ? {} : JSON.parse(text)) as Properties };
}

function words(status: number, { errors }: Properties): string {
	return `Code: ${status}. Errors: ${((errors as string[] | undefined) ?? []).join("; ")}`;
}

/** As Go writes JSON: the keys sorted, nothing between them. */
function normalized(json: unknown): string {
	const sorted = (value: unknown): unknown =>
		typeof value === "object" && value !== null && !Array.isArray(value)
			? Object.fromEntries(
					Object.entries(value)
						.sort(([a], [b]) => (a < b ? -1 : 1))
						.map(([key, part]) => [key, sorted(part)]),
				)
			: value;
	return JSON.stringify(sorted(typeof json === "string" ? JSON.parse(json) : json));
}

function differences(state: Properties, inputs: Properties, keys: string[], replacing: string[]): Diff {
	const diff: Diff = {};
	for (const key of [...keys, ...replacing]) {
		if (isDeepStrictEqual(state[key], inputs[key])) continue;
		diff[key] = replacing.includes(key) ? "update-replace" : state[key] === undefined ? "add" : "update";
	}
	return diff;
}

const SecretV2: ResourceType = {
	check(inputs) {
		const failures: Record<string, string> = {};
		for (const key of Object.keys(inputs))
			if (!["mount", "name", "dataJson", "cas", "options", "deleteAllVersions", "disableRead"].includes(key))
				failures[key] = "is not known to the lab's stand-in";
		return { inputs: { deleteAllVersions: false, disableRead: false, ...inputs }, failures };
	},
	diff(state, inputs) {
		const json = (value: Properties) => {
			try {
				return { ...value, dataJson: normalized(value["dataJson"] ?? "{}") };
			} catch {
				return value;
			}
		};
		return differences(
			json(state),
			json(inputs),
			["dataJson", "cas", "options", "deleteAllVersions"],
			["mount", "name"],
		);
	},
	async create(inputs, { preview }) {
		const id = `${inputs["mount"]}/data/${inputs["name"]}`;
		return preview ? { id, state: inputs } : { id, state: await writeSecret(id, inputs) };
	},
	async read(id, state) {
		const { status, body } = await ask("GET", id);
		// Of a deleted version, Vault answers 404 with what it knows of it.
		const { data } = (body["data"] ?? {}) as { data?: object | null };
		if (data === undefined) {
			if (status === 404) return undefined;
			throw new Error(`error reading from Vault: Error making API request. URL: GET ${id} ${words(status, body)}`);
		}
		const live = { ...state, dataJson: normalized(data ?? "null"), ...outputsOf(id, data) };
		const { path: _p, data: _d, ...inputs } = live as Properties;
		return { state: live, inputs };
	},
	async update(id, _, inputs, { preview }) {
		return preview ? inputs : writeSecret(id, inputs);
	},
	async delete(id, { deleteAllVersions }) {
		const path = deleteAllVersions === true ? id.replace("/data/", "/metadata/") : id;
		const { status, body } = await ask("DELETE", path);
		if (status > 299 && status !== 404) throw new Error(`error deleting ${path}: ${words(status, body)}`);
	},
};

async function writeSecret(id: string, inputs: Properties): Promise<Properties> {
	const { dataJson, cas = 0, options = {} } = inputs;
	const data = JSON.parse(String(dataJson));
	const { status, body } = await ask("PUT", id, { data, cas, options });
	if (status > 299) throw new Error(`Error making API request. URL: PUT ${id} ${words(status, body)}`);
	return { ...inputs, dataJson: normalized(dataJson), ...outputsOf(id, data) };
}

/** What the published plugin adds: the content once more, each value a text. */
function outputsOf(path: string, content: object | null): Properties {
	const texts = Object.entries(content ?? {}).map(([key, value]) => [
		key,
		typeof value === "string" ? value : JSON.stringify(value),
	]);
	return { path, data: Object.fromEntries(texts) };
}

const Policy: ResourceType = {
	check(inputs) {
		const missing = ["name", "policy"].filter((key) => inputs[key] === undefined);
		return { inputs, failures: Object.fromEntries(missing.map((key) => [key, "is required by the lab's stand-in"])) };
	},
	diff: (state, inputs) => differences(state, inputs, ["policy"], ["name"]),
	async create(inputs, { preview }) {
		const id = String(inputs["name"]);
		return { id, state: preview ? inputs : await writePolicy(id, inputs) };
	},
	async read(id) {
		const { status, body } = await ask("GET", `sys/policies/acl/${id}`);
		if (status > 299 && status !== 404)
			throw new Error(`error reading from Vault: URL: GET sys/policies/acl/${id} ${words(status, body)}`);
		const { policy = "" } = (body["data"] ?? {}) as { policy?: string };
		const live = { name: id, policy };
		return { state: live, inputs: live };
	},
	async update(id, _, inputs, { preview }) {
		return preview ? inputs : writePolicy(id, inputs);
	},
	async delete(id) {
		const { status, body } = await ask("DELETE", `sys/policies/acl/${id}`);
		if (status > 299 && status !== 404) throw new Error(`error deleting from Vault: ${words(status, body)}`);
	},
};

async function writePolicy(id: string, inputs: Properties): Promise<Properties> {
	const { status, body } = await ask("PUT", `sys/policies/acl/${id}`, { policy: inputs["policy"] });
	if (status > 299) throw new Error(`error writing to Vault: URL: PUT sys/policies/acl/${id} ${words(status, body)}`);
	return inputs;
}

export const types: Record<string, ResourceType> = {
	"vault:kv/secretV2:SecretV2": SecretV2,
	"vault:index/policy:Policy": Policy,
};
