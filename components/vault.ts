/**
 * Vault's HTTP API, as far as an entry of a KV version 2 mount goes. Where it is, and the token, are in the
 * environment, as Vault's own program takes them.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { ExpectedError } from "../host/expectedError.ts";

/** Vault does not answer, or refuses; the message says what to do. */
export class VaultError extends ExpectedError {}

/** It is down, sealed, or not to be reached from here. */
export class VaultUnavailableError extends VaultError {}

export interface Entry {
	/** Of the newest version, deleted or not; 0 where there never was one. */
	version: number;
	/** Undefined where there is none, or it is deleted. */
	data: Record<string, string> | undefined;
	/** When the version that was read was written; undefined where there is none. */
	writtenAt: Date | undefined;
}

/** The entry at that path below the mount, in its newest version or in that one. Throws a VaultError. */
export async function readEntry(mount: string, path: string, of?: number): Promise<Entry> {
	const { status, body } = await ask("GET", `${mount}/data/${path}${of === undefined ? "" : `?version=${of}`}`);
	const found = body["data"] as Found | undefined;
	const never = status === 404 && found === undefined && (body["errors"] as unknown[] | undefined)?.length === 0;
	if (never) return { version: 0, data: undefined, writtenAt: undefined };
	if (status > 299 && (status !== 404 || found === undefined)) throw refused(status, body, `reading ${mount}/${path}`);
	const version = found?.metadata?.version;
	if (version === undefined)
		throw new VaultError(
			`${mount} in Vault is not a KV mount of version 2, which keeps old versions; set vault.mount to one`,
		);
	const written = Date.parse(found?.metadata?.created_time ?? "");
	const writtenAt = Number.isNaN(written) ? undefined : new Date(written);
	return { version, data: found?.data ?? undefined, writtenAt };
}

/** What Vault answers, where there is or was such an entry. */
interface Found {
	data?: Record<string, string> | null;
	metadata?: { version?: number; created_time?: string };
}

/** Writes a new version, if the newest one still is `version`. Throws a VaultError. */
export async function writeEntry(
	mount: string,
	path: string,
	data: Record<string, string>,
	version: number,
): Promise<void> {
	const { status, body } = await ask("PUT", `${mount}/data/${path}`, { data, options: { cas: version } });
	if (status > 299) throw refused(status, body, `writing ${mount}/${path}`);
}

/** Where Kubernetes puts the token of a pod's service account. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** Resolves with a token for that role of the auth method `kubernetes`. Throws a VaultError. */
export async function loginByKubernetes(role: string, tokenPath = SERVICE_ACCOUNT): Promise<string> {
	let jwt: string;
	try {
		jwt = readFileSync(tokenPath, "utf8").trim();
	} catch {
		throw new VaultError(
			`there is no service account to log in with (${tokenPath}): set VAULT_TOKEN, or run it in a pod`,
		);
	}
	const { status, body } = await ask("PUT", "auth/kubernetes/login", { role, jwt }, "");
	const auth = body["auth"] as { client_token?: string } | undefined;
	if (status > 299 || !auth?.client_token) throw refused(status, body, `logging in with the role ${role}`);
	return auth.client_token;
}

/** How a Vault answers that is not set up, or sealed. */
const UNAVAILABLE = [501, 503];

function refused(status: number, body: Record<string, unknown>, doing: string): VaultError {
	const errors = ((body["errors"] as string[] | undefined) ?? []).join("; ").trim();
	const hint =
		status === 403
			? "the token is expired, or its policies do not allow it: log in again (vault login), or see docs/runbooks/credentials.md"
			: UNAVAILABLE.includes(status)
				? "Vault is sealed or not set up: unseal it"
				: status === 307 || status === 429 || status === 472 || status === 473
					? "this is a standby: set VAULT_ADDR to the active one"
					: /check-and-set/.test(errors)
						? "somebody else wrote it meanwhile: look at what is there, then run it again"
						: /no handler for route/.test(errors)
							? `there is no mount there: set vault.mount to that of a KV engine of version 2`
							: "its own log says more";
	const Class = UNAVAILABLE.includes(status) ? VaultUnavailableError : VaultError;
	return new Class(`Vault: ${doing}: ${status} ${errors}; ${hint}`);
}

async function ask(method: "GET" | "PUT", path: string, body?: object, login?: string) {
	const address = process.env["VAULT_ADDR"];
	if (!address)
		throw new VaultError("VAULT_ADDR is not set: it is Vault's URL, for example https://vault.example:8200");
	const ca = trustedCa();
	const agent = new Agent(ca === undefined ? {} : { connect: { ca } });
	const known = login ?? token();
	try {
		const answer = await request(`${address.replace(/\/+$/, "")}/v1/${path}`, {
			method,
			dispatcher: agent,
			headers: { "x-vault-token": known ?? "", "content-type": "application/json" },
			...(body && { body: JSON.stringify(body) }),
			signal: AbortSignal.timeout(30_000),
		});
		const text = await answer.body.text();
		// Only now: where Vault is down, nobody can log in.
		if (known === undefined && !UNAVAILABLE.includes(answer.statusCode))
			throw new VaultError("there is no login to Vault: run vault login, or set VAULT_TOKEN");
		const parsed = text === "" ? {} : JSON.parse(text);
		if (typeof parsed !== "object" || parsed === null) throw new SyntaxError();
		return { status: answer.statusCode, body: parsed as Record<string, unknown> };
	} catch (error) {
		if (error instanceof VaultError) throw error;
		const reason = error instanceof SyntaxError ? "something else than Vault answers there" : (error as Error).message;
		throw new VaultUnavailableError(
			`Vault at ${address} was not reached: ${reason}; is it up, and are VAULT_ADDR and VAULT_CACERT right?`,
		);
	} finally {
		await agent.close();
	}
}

/** PEM; undefined where the system's are trusted. */
function trustedCa(): string | undefined {
	const file = process.env["VAULT_CACERT"];
	if (!file) return undefined;
	try {
		return readFileSync(file, "utf8");
	} catch (error) {
		throw new VaultError(`VAULT_CACERT can't be read: ${(error as Error).message}`);
	}
}

function token(): string | undefined {
	const inEnvironment = process.env["VAULT_TOKEN"];
	if (inEnvironment) return inEnvironment;
	try {
		return readFileSync(join(homedir(), ".vault-token"), "utf8").trim();
	} catch {
		return undefined;
	}
}
