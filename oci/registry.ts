/** A registry over HTTP: just what a check of its content needs. */
import { createHash } from "node:crypto";
import { Agent, type Dispatcher, interceptors } from "undici";
import { MANIFEST_TYPES } from "./manifest.ts";

export interface RegistryOptions {
	/** For example `https://registry.example:5050`. */
	url: string;
	/** The CA to trust, PEM; the system's without it. */
	ca?: string;
	credentials?: { user: string; password: string };
	/** How many requests may be under way at once. */
	concurrency?: number;
	/** For one request with all its retries, in milliseconds. */
	deadline?: number;
}

/** What was asked could not be told: no answer, an answer that makes no sense, or no access. */
export class RegistryError extends Error {}

export interface Answer {
	status: number;
	/** Of the content that was asked for; undefined where the answer doesn't say. */
	length?: number;
	/** As the registry calls the manifest. */
	digest?: string;
	body: Buffer;
}

const RETRIED = [429, 500, 502, 503, 504];
/** A manifest is small; more than this is not read (the registry itself takes no more than 4 MiB). */
const MANIFEST_LIMIT = 4 * 1024 * 1024;

export class Registry {
	readonly #url: string;
	readonly #dispatcher: Dispatcher;
	readonly #credentials: RegistryOptions["credentials"];
	readonly #deadline: number;
	/** By repository: the header that was asked for last. */
	readonly #authorization = new Map<string, string>();

	constructor({ url, ca, credentials, concurrency = 8, deadline = 60_000 }: RegistryOptions) {
		this.#url = url.replace(/\/$/, "");
		this.#credentials = credentials;
		this.#deadline = deadline;
		this.#dispatcher = new Agent({ connections: concurrency, connect: ca === undefined ? {} : { ca } }).compose(
			interceptors.redirect({ maxRedirections: 5 }),
			interceptors.retry({
				maxRetries: 4,
				minTimeout: 250,
				maxTimeout: 5000,
				statusCodes: RETRIED,
				methods: ["GET", "HEAD"],
			}),
		);
	}

	close(): Promise<void> {
		return this.#dispatcher.close();
	}

	/** A manifest by tag or digest; status 404 where there is none. */
	manifest(repository: string, reference: string): Promise<Answer> {
		const accept = MANIFEST_TYPES.join(", ");
		return this.#ask("GET", repository, `manifests/${reference}`, { accept }, MANIFEST_LIMIT);
	}

	/** Whether a blob is there, and its length, as the registry believes it to be. */
	head(repository: string, digest: string): Promise<Answer> {
		return this.#ask("HEAD", repository, `blobs/${digest}`);
	}

	/** A small blob, whole. */
	blob(repository: string, digest: string, limit: number): Promise<Answer> {
		return this.#ask("GET", repository, `blobs/${digest}`, {}, limit);
	}

	/** The last byte of a blob of that size, which only a registry that has all of it can send. */
	lastByte(repository: string, digest: string, size: number): Promise<Answer> {
		return this.#ask("GET", repository, `blobs/${digest}`, { range: `bytes=${size - 1}-${size - 1}` }, 1);
	}

	/** Reads all of a blob, keeping none of it; resolves with its true digest and size. */
	async digest(repository: string, digest: string): Promise<{ status: number; digest: string; size: number }> {
		const response = await this.#send("GET", repository, `blobs/${digest}`, {});
		const hash = createHash("sha256");
		let size = 0;
		try {
			for await (const chunk of response.body) {
				hash.update(chunk as Buffer);
				size += (chunk as Buffer).length;
			}
		} catch {
			// It ended early: what came is what there is, and its digest tells.
		}
		return { status: response.statusCode, digest: `sha256:${hash.digest("hex")}`, size };
	}

	async #ask(
		method: "GET" | "HEAD",
		repository: string,
		path: string,
		headers: Record<string, string> = {},
		limit = 0,
	): Promise<Answer> {
		const { statusCode: status, headers: said, body } = await this.#send(method, repository, path, headers);
		const length = said["content-length"] === undefined ? undefined : Number(said["content-length"]);
		const digest = said["docker-content-digest"];
		const chunks: Buffer[] = [];
		let read = 0;
		try {
			for await (const chunk of body) {
				read += (chunk as Buffer).length;
				if (status < 300 && read > limit) {
					body.destroy();
					break;
				}
				chunks.push(chunk as Buffer);
			}
		} catch {
			// Cut short: the caller compares what came with what should have come.
		}
		return {
			status,
			...(length !== undefined && { length }),
			...(typeof digest === "string" && { digest }),
			body: Buffer.concat(chunks),
		};
	}

	async #send(method: "GET" | "HEAD", repository: string, path: string, headers: Record<string, string>) {
		const url = `${this.#url}/v2/${repository}/${path}`;
		const request = async () => {
			const authorization = this.#authorization.get(repository);
			const response = await this.#dispatcher
				.request({
					origin: this.#url,
					path: new URL(url).pathname,
					method,
					headers: { ...headers, ...(authorization && { authorization }) },
					signal: AbortSignal.timeout(this.#deadline),
				})
				.catch((error: Error & { statusCode?: number }) => {
					throw new RegistryError(
						`${method} ${url}: ${error.statusCode ? `answered ${error.statusCode}` : error.message}`,
					);
				});
			return response;
		};
		let response = await request();
		const challenge = response.headers["www-authenticate"];
		if (response.statusCode === 401 && typeof challenge === "string" && (await this.#login(repository, challenge))) {
			await response.body.dump();
			response = await request();
		}
		if (response.statusCode === 401 || response.statusCode === 403) {
			throw new RegistryError(`${method} ${url}: answered ${response.statusCode}; are user and password right?`);
		}
		return response;
	}

	/** Answers a challenge; false where there is nothing new to say. */
	async #login(repository: string, challenge: string): Promise<boolean> {
		const basic =
			this.#credentials &&
			`Basic ${Buffer.from(`${this.#credentials.user}:${this.#credentials.password}`).toString("base64")}`;
		let authorization = basic;
		if (/^bearer /i.test(challenge)) {
			const parameters = Object.fromEntries(
				[...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
			);
			const realm = new URL(parameters["realm"] ?? "");
			for (const key of ["service", "scope"]) if (parameters[key]) realm.searchParams.set(key, parameters[key]);
			const answer = await this.#dispatcher.request({
				origin: realm.origin,
				path: `${realm.pathname}${realm.search}`,
				method: "GET",
				headers: basic ? { authorization: basic } : {},
				signal: AbortSignal.timeout(this.#deadline),
			});
			const { token, access_token } = (await answer.body.json()) as { token?: string; access_token?: string };
			authorization = `Bearer ${token ?? access_token}`;
		}
		if (authorization === undefined || this.#authorization.get(repository) === authorization) return false;
		this.#authorization.set(repository, authorization);
		return true;
	}
}
