/** A registry over HTTP: what a check of its content needs, and a copy of it. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { HttpClient, type HttpResponse } from "./http.ts";
import { algorithmOf, MANIFEST_LIMIT, MANIFEST_TYPES } from "./manifest.ts";

export interface RegistryOptions {
	/** For example `https://registry.example:5050`. */
	url: string;
	/** The CA to trust, PEM; the system's without it. */
	ca?: string;
	credentials?: { user: string; password: string };
	/** How many requests may be under way at once; twelve by default: fewer wait for the way, more for the registry (docs/benchmarks.md). */
	concurrency?: number;
	/** For one request with all its retries, and for the next bytes of a blob that is read whole, in milliseconds. */
	deadline?: number;
	/** How long the first retry waits, in milliseconds; each further one waits twice as long. */
	patience?: number;
}

/** The question was not answered: no answer, an answer that makes no sense, or no access. */
export class RegistryError extends Error {}

export interface Answer {
	status: number;
	/** Of the content that was asked for; undefined where the answer doesn't say. */
	length?: number;
	/** Of the whole, where a part was asked for; undefined where the answer doesn't say. */
	total?: number;
	/** As the registry calls the manifest. */
	digest?: string;
	/** As the registry calls the content. */
	mediaType?: string;
	body: Buffer;
}

/** Who answers at a URL, as it says to somebody without credentials. */
export interface Identity {
	/** 401 where it wants credentials. */
	status: number;
	/** What it calls itself in the header X-Registry-Name; undefined where it does not. */
	name?: string;
}

type Method = "GET" | "HEAD" | "POST" | "PUT";

/** Answers of a proxy or of a registry that is overloaded: they say nothing about the content. A 500 does. */
const INCONCLUSIVE = [429, 502, 503, 504];
/** One page of a list; a registry refuses to give more than 1000 at once. */
const PAGE = 1000;
/** What a registry says in an answer that is not the content. */
const ERROR_LIMIT = 64 * 1024;
const PAGE_LIMIT = 16 * 1024 * 1024;
/** How many pages a list may have: a server that always names a next one would never end. */
const PAGES_LIMIT = 10_000;
/** A token, and what a server says around it. */
const TOKEN_LIMIT = 1024 * 1024;
/** How often content is asked for again whose connection is cut each time. */
const ATTEMPTS = 4;

export class Registry {
	readonly #url: string;
	readonly #http: HttpClient;
	readonly #credentials: RegistryOptions["credentials"];
	readonly #deadline: number;
	/** By what is asked about: a repository, or "" for the registry itself. Basic authentication is the same for all. */
	readonly #tokens = new Map<string, string>();
	#basic: string | undefined;
	/** Requests sent, retries not counted. */
	requests = 0;
	/** Bytes of content received. */
	bytes = 0;

	constructor({ url, ca, credentials, concurrency = 12, deadline = 60_000, patience = 250 }: RegistryOptions) {
		this.#url = url.replace(/\/$/, "");
		this.#credentials = credentials;
		this.#deadline = deadline;
		this.#http = new HttpClient({
			...(ca !== undefined && { ca }),
			connections: concurrency,
			retries: 4,
			patience,
			longest: 20 * patience,
		});
	}

	/** Ends all connections. What is under way then, and whatever is asked later, throws a RegistryError with the reason. */
	close(reason?: string): void {
		this.#http.close(reason === undefined ? undefined : new Error(reason));
	}

	/** Asks without credentials. */
	async identity(): Promise<Identity> {
		const response = (await this.#request("GET", "/v2/", {})).resume();
		const name = response.headers["x-registry-name"];
		return { status: response.statusCode, ...(typeof name === "string" && { name }) };
	}

	/** The names of all repositories, however many there are. */
	catalog(): Promise<string[]> {
		return this.#list("", "/v2/_catalog", "repositories");
	}

	/** All tags of a repository; none where it has none, or is gone. */
	tags(repository: string): Promise<string[]> {
		return this.#list(repository, `/v2/${repository}/tags/list`, "tags");
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

	/**
	 * The last byte of a blob of that size, which only a registry that has all of it can send; `total` is how long the blob
	 * is, also in an answer that refuses the range.
	 */
	lastByte(repository: string, digest: string, size: number): Promise<Answer> {
		return this.#ask("GET", repository, `blobs/${digest}`, { range: `bytes=${size - 1}-${size - 1}` }, 1);
	}

	/**
	 * Reads all of a blob, keeping none of it; resolves with its true digest and size. A connection that is cut says
	 * nothing about a blob: only one that ends at the same byte again is as short as that.
	 */
	async digest(repository: string, digest: string): Promise<{ status: number; digest: string; size: number }> {
		let cutAt: number | undefined;
		for (let attempt = 1; ; attempt++) {
			const { cut, ...read } = await this.#readThrough(repository, digest);
			if (!cut || read.size === cutAt) return read;
			if (attempt === ATTEMPTS)
				throw new RegistryError(
					`GET blob ${digest} of ${repository}: the connection was cut ${attempt} times, at another byte each time`,
				);
			cutAt = read.size;
		}
	}

	/** A blob's content, as it comes. Throws a RegistryError where there is none, and the stream does where it ends early. */
	async open(repository: string, digest: string): Promise<Readable> {
		const response = await this.#part(repository, digest, 0);
		return Readable.from(this.#continued(repository, digest, response), { objectMode: false });
	}

	/** Where the connection is cut, the rest is asked for. */
	async *#continued(repository: string, digest: string, response: HttpResponse): AsyncGenerator<Buffer> {
		const what = `GET blob ${digest} of ${repository}`;
		let read = 0;
		for (let attempt = 1; ; attempt++) {
			try {
				for await (const chunk of response) {
					read += (chunk as Buffer).length;
					yield chunk as Buffer;
				}
				return;
			} catch (error) {
				if (isTimeout(error)) throw new RegistryError(`${what}: too slow after ${read} bytes`);
				if (attempt === ATTEMPTS)
					throw new RegistryError(`${what}: the connection was cut ${attempt} times, last after ${read} bytes`);
			}
			response = await this.#part(repository, digest, read);
		}
	}

	/** A blob from that byte on. */
	async #part(repository: string, digest: string, start: number): Promise<HttpResponse> {
		const range: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
		const response = await this.#send("GET", repository, `/v2/${repository}/blobs/${digest}`, range, true);
		const isRest = String(response.headers["content-range"]).startsWith(`bytes ${start}-`);
		if (start === 0 ? response.statusCode === 200 : response.statusCode === 206 && isRest) return response;
		response.resume();
		const asked = start > 0 ? ` from byte ${start} on` : "";
		throw new RegistryError(`GET blob ${digest} of ${repository}${asked}: answered ${response.statusCode}`);
	}

	/** Puts a blob there, of that size in bytes. Throws a RegistryError where it is not taken, as where its content has another digest. */
	async putBlob(repository: string, digest: string, size: number, content: Readable): Promise<void> {
		const begun = await this.#send("POST", repository, `/v2/${repository}/blobs/uploads/`, { "content-length": "0" });
		await this.#expect(begun, 202, `the upload of ${digest} to ${repository}`);
		const upload = new URL(String(begun.headers["location"]), this.#url);
		upload.searchParams.set("digest", digest);
		const headers = { "content-length": String(size), "content-type": "application/octet-stream" };
		const path = `${upload.pathname}${upload.search}`;
		const put = await this.#send("PUT", repository, path, headers, true, content);
		await this.#expect(put, 201, `the blob ${digest} for ${repository}`);
	}

	/** Puts a manifest there, by a tag or its digest. Throws a RegistryError where it is not taken. */
	async putManifest(repository: string, reference: string, content: Buffer, mediaType: string): Promise<void> {
		const path = `/v2/${repository}/manifests/${reference}`;
		const put = await this.#send("PUT", repository, path, { "content-type": mediaType }, false, content);
		await this.#expect(put, 201, `the manifest ${reference} for ${repository}`);
	}

	async #expect(response: HttpResponse, status: number, what: string): Promise<void> {
		const said = (await this.#read(response, ERROR_LIMIT)).body.toString().trim();
		if (response.statusCode !== status)
			throw new RegistryError(`${this.#url} does not take ${what}: ${response.statusCode} ${said}`);
	}

	async #readThrough(repository: string, digest: string) {
		const response = await this.#send("GET", repository, `/v2/${repository}/blobs/${digest}`, {}, true);
		const algorithm = algorithmOf(digest);
		const hash = createHash(algorithm);
		let size = 0;
		let cut = false;
		try {
			for await (const chunk of response) {
				hash.update(chunk as Buffer);
				size += (chunk as Buffer).length;
				this.bytes += (chunk as Buffer).length;
			}
		} catch (error) {
			if (isTimeout(error))
				throw new RegistryError(`GET blob ${digest} of ${repository}: too slow after ${size} bytes`);
			cut = true;
		}
		return { status: response.statusCode, digest: `${algorithm}:${hash.digest("hex")}`, size, cut };
	}

	/** Follows the Link headers from page to page. */
	async #list(scope: string, path: string, key: "repositories" | "tags"): Promise<string[]> {
		const all: string[] = [];
		const seen = new Set<string>();
		for (let next: string | undefined = `${path}?n=${PAGE}`; next !== undefined; ) {
			if (seen.has(next) || seen.size === PAGES_LIMIT)
				throw new RegistryError(`GET ${this.#url}${next}: its pages have no end`);
			seen.add(next);
			const { status, headers, body } = await this.#whole("GET", scope, next, {}, PAGE_LIMIT);
			if (status === 404 && key === "tags") return all;
			const page = status === 200 ? parsePage(body.toString(), key) : undefined;
			if (page === undefined) throw new RegistryError(`GET ${this.#url}${next}: answered ${status} without ${key}`);
			all.push(...page);
			const link: string | undefined = /<([^>]+)>;\s*rel="?next"?/.exec(String(headers["link"] ?? ""))?.[1];
			const following = link === undefined ? undefined : this.#follow(link);
			next = following && `${following.pathname}${following.search}`;
		}
		return all;
	}

	async #ask(
		method: "GET" | "HEAD",
		repository: string,
		path: string,
		headers: Record<string, string> = {},
		limit = 0,
	): Promise<Answer> {
		const {
			status,
			headers: said,
			body,
		} = await this.#whole(method, repository, `/v2/${repository}/${path}`, headers, limit);
		const length = said["content-length"] === undefined ? undefined : Number(said["content-length"]);
		const total = /\/(\d+)$/.exec(String(said["content-range"] ?? ""))?.[1];
		const [digest, mediaType] = [said["docker-content-digest"], said["content-type"]];
		return {
			status,
			...(length !== undefined && { length }),
			...(total !== undefined && { total: Number(total) }),
			...(typeof digest === "string" && { digest }),
			...(typeof mediaType === "string" && { mediaType }),
			body,
		};
	}

	/** An answer with its body; where the connection is cut, it is asked for again, as in `digest`. */
	async #whole(method: "GET" | "HEAD", scope: string, path: string, headers: Record<string, string>, limit: number) {
		let cutAt: number | undefined;
		for (let attempt = 1; ; attempt++) {
			const response = await this.#send(method, scope, path, headers);
			const { body, cut } = await this.#read(response, limit);
			if (!cut || body.length === cutAt) return { status: response.statusCode, headers: response.headers, body };
			if (attempt === ATTEMPTS)
				throw new RegistryError(
					`${method} ${this.#url}${path}: the connection was cut ${attempt} times, at another byte each time`,
				);
			cutAt = body.length;
		}
	}

	/** Where a Link header leads. */
	#follow(link: string): URL {
		try {
			return new URL(link, this.#url);
		} catch {
			throw new RegistryError(`${this.#url} names a next page that is no address: ${link}`);
		}
	}

	/** As much as came, up to where more than the limit came: the caller compares it with what should have come. */
	async #read(response: HttpResponse, limit: number): Promise<{ body: Buffer; cut: boolean }> {
		const chunks: Buffer[] = [];
		let read = 0;
		let cut = false;
		try {
			for await (const chunk of response) {
				read += (chunk as Buffer).length;
				if (read > Math.max(limit, ERROR_LIMIT)) {
					response.destroy();
					break;
				}
				chunks.push(chunk as Buffer);
			}
		} catch (error) {
			if (isTimeout(error)) throw new RegistryError(`${this.#url} answers too slowly`);
			cut = true;
		}
		this.bytes += read;
		return { body: Buffer.concat(chunks), cut };
	}

	async #send(
		method: Method,
		scope: string,
		path: string,
		headers: Record<string, string>,
		isLong = false,
		content?: Buffer | Readable,
	) {
		const authorized = () => {
			const authorization = this.#basic ?? this.#tokens.get(scope);
			return this.#request(method, path, { ...headers, ...(authorization && { authorization }) }, isLong, content);
		};
		let response = await authorized();
		const challenge = [response.headers["www-authenticate"] ?? []].flat().join(", ");
		if (response.statusCode === 401) {
			response.resume();
			if (await this.#login(scope, challenge)) response = await authorized();
		}
		if (response.statusCode === 401 || response.statusCode === 403) {
			response.resume();
			throw new RegistryError(
				`${method} ${this.#url}${path}: answered ${response.statusCode}; are user and password right?`,
			);
		}
		if (INCONCLUSIVE.includes(response.statusCode)) {
			response.resume();
			throw new RegistryError(`${method} ${this.#url}${path}: answered ${response.statusCode}`);
		}
		return response;
	}

	async #request(
		method: Method,
		path: string,
		headers: Record<string, string>,
		isLong = false,
		body?: Buffer | Readable,
	): Promise<HttpResponse> {
		this.requests++;
		const limit = isLong ? { silence: this.#deadline } : { signal: AbortSignal.timeout(this.#deadline) };
		try {
			return await this.#http.request({ method, url: new URL(this.#url + path), headers, body, ...limit });
		} catch (error) {
			throw new RegistryError(`${method} ${this.#url}${path}: ${(error as Error).message}`);
		}
	}

	/** Answers a challenge; false where there is nothing new to say. */
	async #login(scope: string, challenge: string): Promise<boolean> {
		const basic =
			this.#credentials &&
			`Basic ${Buffer.from(`${this.#credentials.user}:${this.#credentials.password}`).toString("base64")}`;
		// There may be several in one header, or several headers.
		const [, bearer] = /(?:^|,\s*)bearer\s+(.*?)(?=,\s*\w+\s+\w+=|$)/i.exec(challenge) ?? [];
		const offersBasic = /(^|,\s*)basic\b/i.test(challenge);
		const parameters = Object.fromEntries(
			[...(bearer ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
		);
		if (bearer === undefined || (parameters["realm"] === undefined && offersBasic)) {
			if (!offersBasic || basic === undefined || this.#basic === basic) return false;
			this.#basic = basic;
			return true;
		}
		const authorization = `Bearer ${await this.#fetchToken(parameters, basic)}`;
		if (this.#tokens.get(scope) === authorization) return false;
		this.#tokens.set(scope, authorization);
		return true;
	}

	/** From the server that the registry names. Throws a RegistryError where that gives none. */
	async #fetchToken(parameters: Record<string, string | undefined>, basic: string | undefined): Promise<string> {
		const named = parameters["realm"] ?? "";
		if (!URL.canParse(named))
			throw new RegistryError(`${this.#url} wants a token, and names no server that gives one ("${named}")`);
		const realm = new URL(named);
		for (const key of ["service", "scope"]) if (parameters[key]) realm.searchParams.set(key, parameters[key]);
		const failed = (why: string) =>
			new RegistryError(`${this.#url} wants a token, and ${realm.origin}${realm.pathname} gives none: ${why}`);
		let status: number;
		let text: string;
		try {
			const headers: Record<string, string> = basic ? { authorization: basic } : {};
			const signal = AbortSignal.timeout(this.#deadline);
			const answer = await this.#http.request({ method: "GET", url: realm, headers, signal });
			status = answer.statusCode;
			text = (await this.#read(answer, TOKEN_LIMIT)).body.toString();
		} catch (error) {
			throw error instanceof RegistryError ? error : failed((error as Error).message);
		}
		if (status !== 200) throw failed(`it answered ${status}`);
		const answer = parseObject(text);
		const token = answer?.["token"] ?? answer?.["access_token"];
		if (typeof token !== "string" || token === "") throw failed("its answer has no token");
		return token;
	}
}

function parseObject(text: string): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
	} catch {
		return undefined;
	}
}

function isTimeout(error: unknown): boolean {
	return ["AbortError", "TimeoutError"].includes((error as Error).name);
}

/** The names in one page of a list; undefined where it is none. A repository without tags has null for a list. */
function parsePage(text: string, key: string): string[] | undefined {
	try {
		const { [key]: names = null } = JSON.parse(text) as Record<string, unknown>;
		if (names === null) return [];
		return Array.isArray(names) ? names.map(String) : undefined;
	} catch {
		return undefined;
	}
}
