/** One SSH connection a host, its key pinned, shared by all operations of this process. */

import { createHash } from "node:crypto";
import ssh2 from "ssh2";
import { ExpectedError } from "./expectedError.ts";
import type { Connection } from "./fileSetSchema.ts";

export type { Connection };

export interface ExecResult {
	code: number;
	stdout: Buffer;
	stderr: string;
}

/** The host can't be worked with: unreachable, not who it should be, or it refuses us. Nothing was sent to it. */
export class ConnectionError extends ExpectedError {}

const HANDSHAKE_TIMEOUT_MS = 15_000;

const clients = new Map<string, Promise<ssh2.Client>>();

/** Runs one command on the host with `stdin`; resolves with its exit code, also when that is not 0. */
export async function exec(connection: Connection, command: string, stdin: Buffer | string = ""): Promise<ExecResult> {
	const client = await connect(connection);
	return new Promise((resolve, reject) => {
		const lost = () =>
			reject(
				new Error(
					`the connection to ${at(connection)} was lost while a command was running; run the same update again`,
				),
			);
		client.once("close", lost);
		client.exec(command, (error, channel) => {
			if (error) return reject(new Error(`${at(connection)} did not start the command: ${error.message}`));
			const stdout: Buffer[] = [];
			const stderr: Buffer[] = [];
			let code: number | undefined;
			channel.on("data", (chunk: Buffer) => stdout.push(chunk));
			channel.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
			channel.on("exit", (status: number | null, signal?: string) => {
				code = status ?? 128;
				if (signal) stderr.push(Buffer.from(`ended by signal ${signal}\n`));
			});
			channel.on("close", () => {
				client.off("close", lost);
				if (code === undefined) return lost();
				resolve({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
			});
			channel.on("error", () => {}); // A broken pipe: the far side ended early, and its exit code says why.
			channel.end(stdin);
		});
	});
}

/** Closes all connections; a program that is done would otherwise wait for them. */
export async function disconnect(): Promise<void> {
	const opened = await Promise.allSettled(clients.values());
	for (const client of opened) if (client.status === "fulfilled") client.value.end();
}

function connect(connection: Connection): Promise<ssh2.Client> {
	const key = JSON.stringify(connection);
	let client = clients.get(key);
	if (client === undefined) {
		client = open(connection);
		clients.set(key, client);
		client.then(
			(opened) => opened.once("close", () => clients.delete(key)),
			() => clients.delete(key),
		);
	}
	return client;
}

function open(connection: Connection): Promise<ssh2.Client> {
	const pinned = parseHostKey(connection.hostKey);
	return new Promise((resolve, reject) => {
		const client = new ssh2.Client();
		let offered: Buffer | undefined;
		client.once("ready", () => resolve(client));
		client.on("error", (error: Error & { level?: string; code?: string }) => {
			reject(new ConnectionError(explain(connection, error, pinned.key, offered)));
		});
		try {
			client.connect({
				host: connection.host,
				port: connection.port ?? 22,
				username: connection.user,
				privateKey: connection.privateKey,
				readyTimeout: HANDSHAKE_TIMEOUT_MS,
				keepaliveInterval: 5_000,
				keepaliveCountMax: 3,
				algorithms: { serverHostKey: pinned.algorithms },
				hostVerifier: (key: Buffer) => {
					offered = key;
					return key.equals(pinned.key);
				},
			});
		} catch (error) {
			reject(
				new ConnectionError(
					`can't log in to ${at(connection)}: ${(error as Error).message}; is the private key in the stack's config whole?`,
				),
			);
		}
	});
}

/** Takes `<type> <base64>` apart; throws an Error that says what is wrong with it. */
export function parseHostKey(text: string): { key: Buffer; algorithms: ssh2.ServerHostKeyAlgorithm[] } {
	const parsed = ssh2.utils.parseKey(text);
	if (parsed instanceof Error) {
		throw new Error(`"${text}" is not a host key: expected "<type> <base64>", as ssh-keyscan prints it after the name`);
	}
	const key = Array.isArray(parsed) ? parsed[0] : parsed;
	// An RSA key is offered under the names of its signature algorithms.
	const algorithms = key.type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [key.type];
	return { key: key.getPublicSSH(), algorithms: algorithms as ssh2.ServerHostKeyAlgorithm[] };
}

function explain(
	connection: Connection,
	error: Error & { level?: string; code?: string },
	pinned: Buffer,
	offered?: Buffer,
): string {
	if (offered !== undefined && !offered.equals(pinned)) {
		return `${at(connection)} shows the host key ${fingerprint(offered)}, but ${fingerprint(pinned)} is pinned; nothing was sent to it. If the host was reinstalled, read its new key on its console and set it in the stack's config; if not, somebody else answers at this address`;
	}
	if (error.level === "client-authentication") {
		return `${at(connection)} refuses the login of ${connection.user} with the configured key; add its public half to that user's authorized_keys, or set the right private key in the stack's config`;
	}
	if (error.message.includes("no matching host key")) {
		return `${at(connection)} has no host key of the pinned type (${fingerprint(pinned)} is pinned); nothing was sent to it. Pin a key that the host has`;
	}
	return `${at(connection)} can't be reached: ${error.message}; is the host up, and is its address in the stack's config right?`;
}

/** As ssh-keygen -l shows it, of a key's blob. */
export function fingerprint(key: Buffer): string {
	return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

function at({ host, port }: Connection): string {
	return `host ${host} (port ${port ?? 22})`;
}
