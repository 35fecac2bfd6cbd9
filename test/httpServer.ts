/** An HTTP server on loopback for one test, with which it ends. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished, vi } from "vitest";

/** `nth` is 1 for the first request. */
export type Answer = (request: IncomingMessage, response: ServerResponse, nth: number) => unknown;

export interface HttpServer {
	/** `http://127.0.0.1:PORT`. */
	url: string;
	port: number;
	server: Server;
	/** What it was asked until now. */
	requests: IncomingMessage[];
	/** Resolves when nobody listens there any more. */
	close(): Promise<unknown>;
}

/** At a free port, unless one is named. */
export async function serve(answer: Answer, port = 0): Promise<HttpServer> {
	const requests: IncomingMessage[] = [];
	const server = createServer((request, response) => void answer(request, response, requests.push(request)));
	await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
	const close = () => {
		server.closeAllConnections();
		return new Promise((resolve) => server.close(resolve));
	};
	onTestFinished(() => void close());
	const { port: own } = server.address() as AddressInfo;
	return { url: `http://127.0.0.1:${own}`, port: own, server, requests, close };
}

/** One that this test takes for Vault, to which it is logged in. */
export async function serveVault(answer: Answer): Promise<HttpServer> {
	const vault = await serve(answer);
	vi.stubEnv("VAULT_ADDR", vault.url);
	vi.stubEnv("VAULT_TOKEN", "token-of-a-test");
	onTestFinished(() => void vi.unstubAllEnvs());
	return vault;
}
