/** A client of the Pushgateway: a group of metrics is replaced as a whole, or what it says is read back. */
import { text } from "node:stream/consumers";
import type { Registry as Metrics } from "prom-client";
import { HttpClient, type HttpRequest } from "../oci/http.ts";

/** The Pushgateway can't be reached, or does not take what it was given; the message says which, without credentials. */
export class PushgatewayError extends Error {
	/** Of its answer; undefined where there was none. */
	readonly status: number | undefined;

	constructor(message: string, status?: number) {
		super(message);
		this.status = status;
	}
}

/** Of which the retries are few and soon: whoever pushes has a deadline of its own. */
const RETRIES = { retries: 3, patience: 500, longest: 4000 };

/**
 * Sends the metrics to the group of those labels, among them `job`: with PUT they replace the group, with POST only the
 * metrics of the same names. A group of the same job alone, without further labels, which an older program
 * left there and whose metrics conflict with these, is removed. Resolves with whether that was so. Throws a
 * PushgatewayError.
 */
export async function push(
	method: "PUT" | "POST",
	url: string,
	labels: { job: string } & Record<string, string>,
	metrics: Metrics,
): Promise<boolean> {
	const path = Object.entries(labels).flatMap((pair) => pair.map(encodeURIComponent));
	const headers = { "content-type": metrics.contentType };
	const body = await metrics.metrics();
	const send = () => ask(url, `/metrics/${path.join("/")}`, { method, body, headers });
	try {
		await send();
		return false;
	} catch (error) {
		const conflicts = error instanceof PushgatewayError && error.status === 400 && /inconsistent/.test(error.message);
		if (!conflicts || Object.keys(labels).length === 1 || !(await hasGroupOfJobAlone(url, labels.job))) throw error;
		await ask(url, `/metrics/job/${encodeURIComponent(labels.job)}`, { method: "DELETE" });
		await send();
		return true;
	}
}

/** Whether it has a group of that job without further labels. Throws a PushgatewayError. */
export async function hasGroupOfJobAlone(url: string, job: string): Promise<boolean> {
	return (await groups(url)).some(
		({ labels }) => labels["job"] === job && Object.values(labels).filter(Boolean).length === 1,
	);
}

/** One value of a metric, with its labels. */
export interface Sample {
	labels: Record<string, string>;
	value: number;
}

/**
 * What the Pushgateway has of that job, by metric. The labels are those of the samples, in whatever order it gives them;
 * an empty `instance`, which it adds by itself, is left out. Throws a PushgatewayError.
 */
export async function pushed(url: string, job: string): Promise<Record<string, Sample[]>> {
	const found: Record<string, Sample[]> = {};
	const ofJob = (await groups(url)).filter(({ labels }) => labels["job"] === job);
	for (const { labels: _, last_push_successful: _s, ...families } of ofJob)
		for (const [name, family] of Object.entries(families as Record<string, Family>)) {
			found[name] ??= [];
			for (const { labels = {}, value } of family.metrics) {
				const { job: _j, instance, ...own } = labels;
				found[name].push({ labels: { ...own, ...(instance && { instance }) }, value: Number(value) });
			}
		}
	return found;
}

interface Group {
	labels: Record<string, string>;
	last_push_successful?: boolean;
}

interface Family {
	metrics: { labels?: Record<string, string>; value: string }[];
}

async function groups(url: string): Promise<Group[]> {
	const said = await ask(url, "/api/v1/metrics", {});
	try {
		const { data } = JSON.parse(said) as { data?: unknown };
		if (Array.isArray(data)) return data;
	} catch {
		// It is no JSON: told below.
	}
	throw notOne(url, said);
}

function notOne(url: string, said: string): PushgatewayError {
	const { gateway } = withoutCredentials(url);
	return new PushgatewayError(
		`the Pushgateway ${gateway} answered as no Pushgateway does, for example with a login page: ${said.slice(0, 200)}`,
	);
}

async function ask(
	url: string,
	path: string,
	{ method = "GET", headers = {}, body }: Partial<Pick<HttpRequest, "method" | "headers" | "body">>,
): Promise<string> {
	const { gateway, authorization } = withoutCredentials(url);
	const client = new HttpClient(RETRIES);
	try {
		const response = await client.request({
			method,
			url: new URL(gateway + path),
			headers: { ...headers, ...(authorization && { authorization }) },
			body,
			signal: AbortSignal.timeout(30_000),
		});
		const said = await text(response);
		const { statusCode: status } = response;
		if (status > 299)
			throw new PushgatewayError(`the Pushgateway ${gateway} answered ${status}: ${said.trim()}`, status);
		// It takes what is pushed without a word.
		if (response.headers["content-type"]?.startsWith("text/html")) throw notOne(url, said);
		return said;
	} catch (error) {
		if (error instanceof PushgatewayError) throw error;
		throw new PushgatewayError(`the Pushgateway ${gateway} was not reached: ${(error as Error).message}`);
	} finally {
		client.close();
	}
}

/** The URL as it can be shown, without a slash at its end, and what its user and password are sent as. */
function withoutCredentials(url: string): { gateway: string; authorization?: string } {
	const parsed = new URL(url);
	const { username, password } = parsed;
	const gateway = `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, "");
	if (username === "" && password === "") return { gateway };
	const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
	return { gateway, authorization: `Basic ${Buffer.from(login).toString("base64")}` };
}
