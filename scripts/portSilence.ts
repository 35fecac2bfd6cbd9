/** How long the registries' ports are silent while something is done. */
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";

/** How often each port is asked, in milliseconds. */
const EVERY = 250;
/** How long an answer may take, in milliseconds. */
const TIMEOUT = 5_000;

export interface Port {
	/** As people call it. */
	name: string;
	/** Of a registry behind it. */
	url: string;
}

/**
 * Asks every port that answers now, until the function that it resolves with is called; that one resolves with the
 * longest silence of each port in milliseconds, by name. A port that does not answer from here in the first place has none.
 */
export async function watchPorts(ports: Port[]): Promise<() => Promise<Map<string, number>>> {
	// Whether somebody answers is all that is asked, not who it is: the update verifies that.
	const agent = new Agent({ connect: { rejectUnauthorized: false } });
	const answers = async ({ url }: Port) => {
		try {
			const { statusCode, body } = await request(`${url}/v2/`, {
				dispatcher: agent,
				signal: AbortSignal.timeout(TIMEOUT),
				reset: true,
			});
			await body.dump();
			// nginx says so where nobody is behind it.
			return statusCode < 500;
		} catch {
			return false;
		}
	};
	const stopped = new AbortController();
	const first = await Promise.all(ports.map(async (port) => ({ port, there: await answers(port) })));
	const watched = first
		.filter(({ there }) => there)
		.map(async ({ port }): Promise<[string, number]> => {
			let longest = 0;
			/** When it last answered before it fell silent; undefined where it is not silent. */
			let since: number | undefined;
			let answered = Date.now();
			for (let done = false; !done; ) {
				done = stopped.signal.aborted;
				const asked = Date.now();
				if (await answers(port)) {
					if (since !== undefined) longest = Math.max(longest, asked - since);
					since = undefined;
					answered = asked;
				} else since ??= answered;
				if (!done) await sleep(EVERY, undefined, { signal: stopped.signal }).catch(() => {});
			}
			return [port.name, since === undefined ? longest : Math.max(longest, Date.now() - since)];
		});
	return async () => {
		stopped.abort();
		const found = new Map(await Promise.all(watched));
		await agent.close();
		return found;
	};
}

/** A line for people, without a full stop. */
export function inWords(silences: Map<string, number>, ports: Port[]): string {
	if (ports.length === 0) return "there are no ports";
	if (silences.size === 0) return "how long the ports were silent can't be told from here";
	const silent = [...silences].filter(([, silence]) => silence > 0);
	const said = silent.map(([name, silence]) => `${name} for ${(silence / 1000).toFixed(1)} s`).join(", ");
	const unasked = ports.map(({ name }) => name).filter((name) => !silences.has(name));
	const rest = unasked.length > 0 ? `; ${unasked.join(", ")} can't be asked from here` : "";
	return `${said ? `silent: ${said}` : "no port was silent"}${rest}`;
}
