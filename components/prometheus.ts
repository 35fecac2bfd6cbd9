/** Prometheus' HTTP API, as far as it is asked here. */
import { Agent, request } from "undici";

/** How long Prometheus may take, in milliseconds. */
const DEADLINE = 30_000;

/** A series, and its value at the moment. */
export interface Series {
	labels: Record<string, string>;
	value: number;
}

/**
 * The `data` of an answer of the Prometheus at that URL, `api` for example `rules`. Throws an Error whose message begins
 * with that it `does not tell` what `about` says.
 */
export async function askPrometheus<T>(
	url: string,
	api: string,
	about: string,
	query: Record<string, string> = {},
): Promise<T> {
	const agent = new Agent();
	try {
		const { statusCode, body } = await request(`${url.replace(/\/+$/, "")}/api/v1/${api}`, {
			query,
			dispatcher: agent,
			signal: AbortSignal.timeout(DEADLINE),
		});
		const said = await body.text();
		if (statusCode !== 200) throw new Error(`it answered ${statusCode}: ${said.slice(0, 500)}`);
		const { data } = JSON.parse(said) as { data?: T };
		if (data === undefined) throw new Error("it answered something else than Prometheus does");
		return data;
	} catch (error) {
		throw new Error(`Prometheus ${new URL(url).origin} does not tell ${about}: ${(error as Error).message}`);
	} finally {
		await agent.close();
	}
}

/** What it has for a query. Throws as `askPrometheus` does. */
export async function query(url: string, expression: string, about: string): Promise<Series[]> {
	const { result } = await askPrometheus<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
		url,
		"query",
		about,
		{ query: expression },
	);
	return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
}
