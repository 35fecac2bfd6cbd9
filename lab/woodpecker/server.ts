/**
 * A stand-in for Woodpecker's API (server v3.13), which can't be had here: the secrets and the crons of one repository,
 * as documented. Values are kept and never given back; events are validated; lists are paged; what is not there is a 404
 * without a word, a repository as well as a secret; a cron that is not told to run does not, which is the worse of what is
 * possible. Its memory is its own.
 *
 * Environment: TOKEN, REPOSITORY (its id), PORT.
 */
import { createServer, type IncomingMessage } from "node:http";

const EVENTS = "push pull_request pull_request_closed pull_request_metadata tag release deployment cron manual".split(
	" ",
);
const { TOKEN = "", REPOSITORY = "1", PORT = "8000" } = process.env;

interface Secret {
	id: number;
	name: string;
	value: string;
	images: string[];
	events: string[];
	note: string;
}

interface Cron {
	id: number;
	name: string;
	schedule: string;
	branch: string;
	enabled: boolean;
}

const secrets = new Map<string, Secret>();
const crons = new Map<number, Cron>();
let ids = 0;

/** An answer: a status, and an object or a text. */
type Answer = [number, unknown?];

function invalid({ name, events, images }: Partial<Secret>): string | undefined {
	if (!name) return "empty name";
	if (!events || events.length === 0) return "no event";
	const unknown = events.find((event) => !EVENTS.includes(event));
	if (unknown !== undefined) return `${unknown}: invalid webhook event`;
	return images?.some((image) => !/^[\w.\-/:@]+$/.test(image)) ? "invalid image" : undefined;
}

const shown = ({ id, name, images, events, note }: Secret) => ({
	id,
	repo_id: Number(REPOSITORY),
	name,
	images,
	events,
	note,
});

function page<Entry>(all: Entry[], query: URLSearchParams): Entry[] {
	const size = Math.min(Number(query.get("perPage") ?? 50), 50);
	const from = (Number(query.get("page") ?? 1) - 1) * size;
	return all.slice(from, from + size);
}

function answer(method: string, url: URL, body: Record<string, unknown> | undefined): Answer {
	const [, id, kind, name] = /^\/api\/repos\/(\d+)(?:\/(secrets|cron)(?:\/([^/]+))?)?$/.exec(url.pathname) ?? [];
	if (id !== REPOSITORY) return [404];
	if (kind === undefined) return method === "GET" ? [200, { id: Number(id), active: true }] : [405];
	if (method === "POST" || method === "PATCH") if (body === undefined) return [400, "Error parsing body"];
	return kind === "secrets" ? ofSecrets(method, name, url, body ?? {}) : ofCrons(method, name, url, body ?? {});
}

function ofSecrets(method: string, name: string | undefined, url: URL, body: Record<string, unknown>): Answer {
	if (name === undefined) {
		if (method === "GET") return [200, page([...secrets.values()], url.searchParams).map(shown)];
		const { images = [], note = "", ...rest } = body as Partial<Secret>;
		const problem = invalid(body) ?? (rest.value ? undefined : "empty value");
		if (problem !== undefined) return [422, `Error inserting secret. ${problem}`];
		if (secrets.has(rest.name as string)) return [500, "Error inserting secret. UNIQUE constraint failed"];
		const secret = { ...rest, images, note, id: ++ids } as Secret;
		secrets.set(secret.name, secret);
		return [200, shown(secret)];
	}
	const secret = secrets.get(name);
	if (secret === undefined) return [404];
	if (method === "DELETE") return secrets.delete(name) ? [204] : [404];
	if (method === "GET") return [200, shown(secret)];
	const changed = { ...secret };
	const { value, images, events, note } = body as Partial<Secret>;
	if (value) changed.value = value;
	if (images) changed.images = images;
	if (events) changed.events = events;
	if (note !== undefined) changed.note = note;
	const problem = invalid(changed);
	if (problem !== undefined) return [422, `Error updating secret. ${problem}`];
	secrets.set(name, changed);
	return [200, shown(changed)];
}

function ofCrons(method: string, name: string | undefined, url: URL, body: Record<string, unknown>): Answer {
	if (name === undefined) {
		if (method === "GET") return [200, page([...crons.values()], url.searchParams)];
		const { name: called, schedule, branch = "", enabled = false } = body as Partial<Cron>;
		if (!called || !schedule) return [422, "Error inserting cron. name and schedule are required"];
		if ([...crons.values()].some((cron) => cron.name === called))
			return [422, "Error inserting cron. UNIQUE constraint failed"];
		const cron = { id: ++ids, name: called, schedule, branch, enabled };
		crons.set(cron.id, cron);
		return [200, cron];
	}
	const cron = crons.get(Number(name));
	if (cron === undefined) return [404];
	if (method === "DELETE") return crons.delete(cron.id) ? [204] : [404];
	if (method === "PATCH") Object.assign(cron, body, { id: cron.id });
	return [200, cron];
}

async function read(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
	const parts: Buffer[] = [];
	for await (const part of request) parts.push(part as Buffer);
	try {
		const parsed: unknown = JSON.parse(Buffer.concat(parts).toString() || "{}");
		return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
	} catch {
		return undefined;
	}
}

createServer(async (request, response) => {
	const url = new URL(request.url ?? "/", "http://woodpecker");
	if (url.pathname === "/healthz") return response.writeHead(204).end();
	const body = await read(request);
	const allowed = request.headers.authorization === `Bearer ${TOKEN}`;
	const [status, said] = allowed
		? answer(request.method ?? "GET", url, body)
		: ([401, "User not authorized"] as Answer);
	const isText = typeof said === "string";
	response.writeHead(status, {
		"content-type": isText ? "text/plain; charset=utf-8" : "application/json; charset=utf-8",
	});
	return response.end(said === undefined ? undefined : isText ? said : JSON.stringify(said));
}).listen(Number(PORT), "0.0.0.0");
