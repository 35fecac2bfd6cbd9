/**
 * HTTP by Node.js's own client: redirects are followed, and what failed for a moment is asked again. ADR 33 says why it is
 * not undici.
 */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { addAbortSignal, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as wait } from "node:timers/promises";
import pRetry from "p-retry";

export interface HttpClientOptions {
	/** The CA to trust, PEM; the system's without it. */
	ca?: string;
	/** How many requests may be under way at once at one server; without it, any number. */
	connections?: number;
	/** How often it is asked again at most. */
	retries: number;
	/** How long the first retry waits, in milliseconds; each further one waits twice as long. */
	patience: number;
	/** How long a retry waits at most, in milliseconds, also where the server asks for more. */
	longest: number;
	/** How long it may take until there is a connection, in milliseconds; ten seconds by default. */
	reach?: number;
}

export interface HttpRequest {
	method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
	url: URL;
	/** By their names in lower case. */
	headers?: Record<string, string>;
	/** None by default. A stream is sent once: there is no retry, and no redirect is followed. */
	body?: Buffer | string | Readable | undefined;
	/** Ends it, with all its retries and the answer's body: what waits for them throws the signal's reason, or an AbortError. */
	signal?: AbortSignal;
	/** How long nothing may come, in milliseconds, also within the answer's body; what waits throws a TimeoutError then. */
	silence?: number;
}

/** An answer. Its body is read, or given up with `resume`, so that the connection can be used again. */
export interface HttpResponse extends IncomingMessage {
	statusCode: number;
}

const BUSY = [429, 500, 502, 503, 504];
/** What may be otherwise in a moment; a certificate that is not trusted is not among them. */
const MOMENTARY = [
	"EAI_AGAIN",
	"ECONNREFUSED",
	"ECONNRESET",
	"EHOSTDOWN",
	"EHOSTUNREACH",
	"ENETDOWN",
	"ENETUNREACH",
	"ENOTFOUND",
	"EPIPE",
	"ETIMEDOUT",
];
const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 5;
/** Headers that are meant for one server and no other. */
const CREDENTIALS = ["authorization", "cookie", "proxy-authorization"];

/** The server, or a proxy before it, has too much to do. */
class BusyError extends Error {
	/** How long it wants to be left alone, in milliseconds. */
	readonly pause: number;

	constructor(response: HttpResponse) {
		super(`it answered ${response.statusCode}`);
		this.pause = pauseOf(response.headers["retry-after"]);
	}
}

/** It took too long, which is not tried again. */
class TimeoutError extends Error {
	override readonly name = "TimeoutError";
}

export class HttpClient {
	readonly #options: HttpClientOptions;
	readonly #http: http.Agent;
	readonly #https: https.Agent;
	/** Why nothing is asked any more. */
	#closed: Error | undefined;

	constructor(options: HttpClientOptions) {
		const { ca, connections = Number.POSITIVE_INFINITY, reach = 10_000 } = options;
		this.#options = options;
		this.#http = new http.Agent({ keepAlive: true, maxSockets: connections });
		this.#https = new https.Agent({ keepAlive: true, maxSockets: connections, ...(ca !== undefined && { ca }) });
		limitReach(this.#http, "connect", reach);
		limitReach(this.#https, "secureConnect", reach);
	}

	/** Ends all connections. What is under way then, and whatever is asked later, throws the reason. */
	close(reason = new Error("its connections were closed")): void {
		this.#closed ??= reason;
		for (const agent of [this.#http, this.#https]) {
			// Those that still wait for a connection would be given a new one.
			for (const waiting of Object.values(agent.requests).flat()) waiting?.destroy();
			agent.destroy();
		}
	}

	/**
	 * Resolves with the answer as soon as it begins. A server that is busy or can't be reached is asked again, unless the
	 * method is POST or the body is a stream; the last answer counts. Rejects where there is none.
	 */
	async request(request: HttpRequest): Promise<HttpResponse> {
		const { patience, longest } = this.#options;
		const isOnce = request.method === "POST" || request.body instanceof Readable;
		const retries = isOnce ? 0 : this.#options.retries;
		const ask = async (attempt: number) => {
			const response = await this.#follow(request).catch((error: unknown) => {
				throw this.#closed ?? error;
			});
			if (attempt > retries || !BUSY.includes(response.statusCode)) return response;
			response.resume();
			throw new BusyError(response);
		};
		return pRetry(ask, {
			retries,
			minTimeout: patience,
			maxTimeout: longest,
			...(request.signal && { signal: request.signal }),
			shouldRetry: ({ error }) => error instanceof BusyError || MOMENTARY.includes(codeOf(error)),
			onFailedAttempt: async ({ error, retryDelay }) => {
				if (!(error instanceof BusyError)) return;
				const more = Math.min(error.pause, longest) - retryDelay;
				if (more > 0) await wait(more, undefined, { signal: request.signal });
			},
		});
	}

	async #follow(request: HttpRequest): Promise<HttpResponse> {
		let { url, headers = {} } = request;
		for (let followed = 0; ; followed++) {
			const response = await this.#send({ ...request, url, headers });
			const { location } = response.headers;
			if (location === undefined || followed === MAX_REDIRECTS || !mayFollow(request, response)) return response;
			response.resume();
			const next = addressOf(location, url);
			if (next.origin !== url.origin)
				headers = Object.fromEntries(Object.entries(headers).filter(([name]) => !CREDENTIALS.includes(name)));
			url = next;
		}
	}

	#send({ method, url, headers, body, signal, silence }: HttpRequest): Promise<HttpResponse> {
		return new Promise((resolve, reject) => {
			if (this.#closed) return reject(this.#closed);
			const [{ request: open }, agent] = url.protocol === "https:" ? [https, this.#https] : [http, this.#http];
			const request = open(url, { method, headers, agent, ...(silence !== undefined && { timeout: silence }) });
			let response: IncomingMessage | undefined;
			request.on("response", (answer) => {
				response = answer;
				if (signal) addAbortSignal(signal, answer);
				resolve(answer as HttpResponse);
			});
			request.on("timeout", () =>
				(response ?? request).destroy(new TimeoutError(`nothing came for ${silence} milliseconds`)),
			);
			request.on("error", (error) => reject(signal?.aborted ? signal.reason : error));
			if (signal) addAbortSignal(signal, request);
			if (body instanceof Readable) pipeline(body, request).catch(reject);
			else request.end(body);
		});
	}
}

/** A host that drops what it gets would be waited for until the system gives up, minutes later. */
function limitReach(agent: http.Agent, connected: "connect" | "secureConnect", reach: number): void {
	const connect = agent.createConnection.bind(agent);
	agent.createConnection = (...how) => {
		const socket = connect(...how);
		const late = () => socket?.destroy(new TimeoutError(`there was no connection within ${reach} milliseconds`));
		const timer = setTimeout(late, reach);
		for (const event of [connected, "close"]) socket?.once(event, () => clearTimeout(timer));
		return socket;
	};
}

/** By a redirect, another method than GET or HEAD is sent again only where the status says so, and what a stream had is gone. */
function mayFollow({ method, body }: HttpRequest, { statusCode }: HttpResponse): boolean {
	if (!REDIRECTS.includes(statusCode) || body instanceof Readable) return false;
	return method === "GET" || method === "HEAD" || statusCode >= 307;
}

/** Throws where a redirect leads nowhere. */
function addressOf(location: string, base: URL): URL {
	const url = URL.parse(location, base.href);
	if (url === null || !/^https?:$/.test(url.protocol))
		throw new Error(`it redirects to what is no address of a server: ${location}`);
	return url;
}

/** What the header Retry-After says, seconds or a date, in milliseconds from now; 0 without one. */
function pauseOf(header: string | undefined): number {
	const seconds = Number(header ?? 0);
	const pause = Number.isNaN(seconds) ? Date.parse(header as string) - Date.now() : seconds * 1000;
	return pause > 0 ? pause : 0;
}

function codeOf(error: Error): string {
	return (error as NodeJS.ErrnoException).code ?? "";
}
