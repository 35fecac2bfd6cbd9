/** Woodpecker's HTTP API, as far as secrets and crons of a repository go. The token is that of WOODPECKER_TOKEN. */
import { Agent, interceptors, request } from "undici";
import type { Context } from "../host/protocol.ts";

/** Woodpecker does not answer, or not as it should; the message says what to do. */
export class WoodpeckerError extends Error {}

/** Woodpecker has nothing at that path, or nothing that the token's user may see. */
export class NotFoundError extends WoodpeckerError {}

type Entry = Record<string, unknown>;

const agent = new Agent().compose(
	interceptors.retry({
		methods: ["GET", "PATCH", "DELETE"],
		statusCodes: [429, 502, 503, 504],
		maxRetries: 4,
		minTimeout: 500,
		maxTimeout: 30_000,
		throwOnError: false,
	}),
);

/**
 * Asks the server at that URL, by default the one of the environment; the answer is undefined where it has no body. Throws
 * a NotFoundError for 404, and a WoodpeckerError for all else that is no success.
 */
export async function ask(
	server: string | undefined,
	method: "GET" | "POST" | "PATCH" | "DELETE",
	path: string,
	body?: object,
): Promise<Entry | Entry[] | undefined> {
	const token = process.env["WOODPECKER_TOKEN"];
	if (!token)
		throw new WoodpeckerError("WOODPECKER_TOKEN is not set: make a token in Woodpecker's user settings, and export it");
	// The names that its own command line and its pipelines have for it.
	const { WOODPECKER_SERVER, CI_SYSTEM_URL } = process.env;
	const base = (server || WOODPECKER_SERVER || CI_SYSTEM_URL || "").replace(/\/+$/, "");
	if (base === "")
		throw new WoodpeckerError(
			"it is not known where Woodpecker is: set woodpecker.server in the stack's config, or export WOODPECKER_SERVER",
		);
	const { statusCode, headers, text } = await request(`${base}/api${path}`, {
		method,
		dispatcher: agent,
		headers: { authorization: `Bearer ${token}`, "content-type": "application/json", accept: "application/json" },
		...(body && { body: JSON.stringify(body) }),
		signal: AbortSignal.timeout(120_000),
	}).then(
		async ({ statusCode, headers, body }) => ({ statusCode, headers, text: await body.text() }),
		(error: Error) => {
			throw new WoodpeckerError(
				`Woodpecker at ${base} was not reached: ${error.message}; is it up, and is woodpecker.server (or WOODPECKER_SERVER) right?`,
			);
		},
	);
	const what = `Woodpecker at ${base} answered ${method} ${path} with ${statusCode}`;
	if (statusCode === 401)
		throw new WoodpeckerError(
			`${what}: it does not accept the token in WOODPECKER_TOKEN; make a new one in its user settings`,
		);
	if (statusCode === 403)
		throw new WoodpeckerError(
			`${what}: the token's user may not change this repository; it has to be one of its administrators`,
		);
	if (statusCode === 404)
		throw new NotFoundError(
			`${what}: there is no such repository, or it is not shown to the token's user; woodpecker.repository is its number, as its URL has it`,
		);
	if (statusCode > 299) throw new WoodpeckerError(`${what}: ${text.trim().slice(0, 300)}`);
	if (text === "" || statusCode === 204) return undefined;
	if (!String(headers["content-type"]).includes("json"))
		throw new WoodpeckerError(
			`${what}, but not in JSON: ${text.trim().slice(0, 80)}. Something else answers there, a login page perhaps`,
		);
	try {
		return JSON.parse(text) as Entry | Entry[];
	} catch {
		throw new WoodpeckerError(`${what}, but not in JSON: ${text.trim().slice(0, 80)}`);
	}
}

/**
 * What that repository has at a path below it; undefined where it has none. As Woodpecker answers 404 for a repository that
 * is gone, too, that is asked for then. Throws a WoodpeckerError.
 */
export async function find(server: string | undefined, repository: number, path: string): Promise<Entry | undefined> {
	try {
		return (await ask(server, "GET", `/repos/${repository}/${path}`)) as Entry | undefined;
	} catch (error) {
		if (!(error instanceof NotFoundError)) throw error;
	}
	await ask(server, "GET", `/repos/${repository}`);
	return undefined;
}

/** Does what deletes that name; where its repository is gone, it went with it, and a warning says so. */
export async function deleting(name: string, log: Context["log"], act: () => Promise<void>): Promise<void> {
	try {
		await act();
	} catch (error) {
		if (!(error instanceof NotFoundError)) throw error;
		log("warning", `${name} was not deleted: ${error.message}`);
	}
}

/** Every entry of a list, whose pages end with one that is empty. Throws a WoodpeckerError. */
export async function list(server: string | undefined, path: string): Promise<Entry[]> {
	const all: Entry[] = [];
	for (let page = 1; page <= 1000; page++) {
		const found = await ask(server, "GET", `${path}?page=${page}&perPage=50`);
		if (!Array.isArray(found) || found.length === 0) return all;
		all.push(...found);
	}
	throw new WoodpeckerError(`Woodpecker gives pages of ${path} without end`);
}
