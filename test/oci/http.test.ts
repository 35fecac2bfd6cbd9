/** What the client does with servers that redirect, are busy, or break off. */
import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { HttpClient, type HttpClientOptions, type HttpRequest } from "../../oci/http.ts";
import { type Answer, serve as serveHttp } from "../httpServer.ts";

/** A server that answers as it is told. */
async function serve(answer: Answer) {
	const { url, ...rest } = await serveHttp(answer);
	return { ...rest, url: new URL("/asked", url) };
}

function client(more: Partial<HttpClientOptions> = {}) {
	const made = new HttpClient({ retries: 2, patience: 1, longest: 200, ...more });
	onTestFinished(() => made.close());
	return made;
}

/** Asks a server with GET, and reads the answer. */
async function ask(url: URL, more: Partial<HttpRequest> = {}) {
	const response = await client().request({ method: "GET", url, ...more });
	return { status: response.statusCode, body: await text(response) };
}

const redirect = (location: string, status = 307): Answer => {
	return (_, response) => response.writeHead(status, { location }).end("elsewhere");
};
const headers = { authorization: "Basic bWU6c2VjcmV0", accept: "text/plain" };

describe("a redirect", () => {
	it("within the server is followed with the credentials", async () => {
		const { url, requests } = await serve((request, response, nth) =>
			nth === 1 ? redirect("../there?a=b", 301)(request, response, nth) : response.end("content"),
		);
		expect(await ask(url, { headers })).toEqual({ status: 200, body: "content" });
		expect(requests[1]).toMatchObject({ method: "GET", url: "/there?a=b", headers });
	});

	// A storage that gets an address that is signed refuses credentials besides.
	it("to another server is followed without the credentials", async () => {
		const storage = await serve((_, response) => response.end("content"));
		const { url } = await serve(redirect(storage.url.href));
		expect(await ask(url, { headers })).toEqual({ status: 200, body: "content" });
		expect(storage.requests[0]?.headers).toMatchObject({ accept: "text/plain", host: storage.url.host });
		expect(storage.requests[0]?.headers.authorization).toBeUndefined();
	});

	it("that comes back to the first server does not bring the credentials back", async () => {
		const back: Answer[] = [];
		const other = await serve((...args) => back[0]?.(...args));
		const { url, requests } = await serve((request, response, nth) =>
			nth === 1 ? redirect(other.url.href)(request, response, nth) : response.end(),
		);
		back.push(redirect(url.href));
		await ask(url, { headers });
		expect(requests.map((request) => request.headers.authorization)).toEqual([headers.authorization, undefined]);
	});

	it("that never ends is given up after five", async () => {
		const { url, requests } = await serve(redirect("/asked"));
		expect((await ask(url)).status).toBe(307);
		expect(requests).toHaveLength(6);
	});

	it.each(["ftp://elsewhere.example/", "http://:0:0/"])("to %s leads nowhere, which is said", async (location) => {
		const { url, requests } = await serve(redirect(location));
		await expect(ask(url)).rejects.toThrow(`it redirects to what is no address of a server: ${location}`);
		expect(requests).toHaveLength(1);
	});

	it("sends what is in memory again where the status says so, and else is an answer", async () => {
		const there: string[] = [];
		const answer: Answer = async (request, response, nth) => {
			there.push(`${request.method} ${request.url} ${await text(request)}`);
			if (nth === 1) redirect("/there", 308)(request, response, nth);
			else redirect("/nowhere", 302)(request, response, nth);
		};
		const { url } = await serve(answer);
		expect((await ask(url, { method: "PUT", body: "content" })).status).toBe(302);
		expect(there).toEqual(["PUT /asked content", "PUT /there content"]);
	});

	it("does not send the rest of a stream somewhere else", async () => {
		const { url, requests } = await serve(redirect("/there"));
		const body = Readable.from(["content"]);
		expect((await ask(url, { method: "PUT", body })).status).toBe(307);
		expect(requests).toHaveLength(1);
	});
});

describe("a server that is busy", () => {
	it.each([
		["seconds", () => "0.1"],
		["a date", () => new Date(Date.now() + 3_600_000).toUTCString()],
	])("is left alone for as long as it says in %s, but not for ever", async (_, wanted) => {
		const times: number[] = [];
		const { url } = await serve((_request, response, nth) => {
			times.push(performance.now());
			if (nth === 1) response.writeHead(429, { "retry-after": wanted() }).end();
			else response.end("content");
		});
		expect((await ask(url)).body).toBe("content");
		const waited = (times[1] as number) - (times[0] as number);
		expect(waited).toBeGreaterThan(95);
		expect(waited).toBeLessThan(2000);
	});

	it("answers, when it was asked often enough", async () => {
		const { url, requests } = await serve((_, response) => response.writeHead(502).end("too much"));
		expect(await ask(url)).toEqual({ status: 502, body: "too much" });
		expect(requests).toHaveLength(3);
	});

	it.each<Partial<HttpRequest>>([{ method: "POST" }, { method: "PUT", body: Readable.from(["content"]) }])(
		"is not asked again to do what it may have done: %o",
		async (request) => {
			const { url, requests } = await serve((_, response) => response.writeHead(503).end());
			expect((await ask(url, request)).status).toBe(503);
			expect(requests).toHaveLength(1);
		},
	);
});

describe("a connection", () => {
	it("that the server closed while nobody used it is replaced by a new one", async () => {
		const { url, requests } = await serve((request, response, nth) =>
			nth === 2 ? request.socket.destroy() : response.end("content"),
		);
		const one = client();
		for (const _ of [1, 2]) expect(await text(await one.request({ method: "GET", url }))).toBe("content");
		expect(requests).toHaveLength(3);
		expect(requests[1]?.socket).toBe(requests[0]?.socket);
	});

	it.each([
		["a redirect", redirect("/there")],
		["a retry", redirect("/there", 503)],
	])("is used for the next request, also after %s", async (_, first) => {
		const { url, requests } = await serve((request, response, nth) =>
			nth === 1 ? first(request, response, nth) : response.end("content"),
		);
		const one = client({ connections: 1 });
		for (const _ of [1, 2]) await text(await one.request({ method: "GET", url }));
		expect(new Set(requests.map(({ socket }) => socket)).size).toBe(1);
	});

	it("is one of so many", async () => {
		let open = 0;
		let most = 0;
		const { url, server } = await serve((_, response) => response.end("content"));
		server.on("connection", (socket) => {
			most = Math.max(most, ++open);
			socket.on("close", () => open--);
		});
		const one = client({ connections: 3 });
		await Promise.all(Array.from({ length: 12 }, async () => text(await one.request({ method: "GET", url }))));
		expect(most).toBe(3);
	});

	it("that can't be made is tried again, and its error tells", async () => {
		const { url, close } = await serve(() => {});
		await close();
		await expect(ask(url)).rejects.toMatchObject({ code: "ECONNREFUSED" });
	});

	it("that breaks off within an answer fails who reads it", async () => {
		const { url } = await serve((_, response) => {
			response.writeHead(200, { "content-length": 100 });
			response.write("half", () => response.destroy());
		});
		await expect(ask(url)).rejects.toMatchObject({ code: "ECONNRESET" });
	});

	it("that breaks off within an answer that nobody reads fails nobody", async () => {
		const { url } = await serve((_, response, nth) => {
			response.writeHead(nth === 1 ? 503 : 200, { "content-length": 7 });
			if (nth === 1) response.write("half", () => response.destroy());
			else response.end("content");
		});
		expect((await ask(url)).body).toBe("content");
	});
});

describe("a client that is closed", () => {
	/** How each ends that was asked before it was closed, and one that is asked later. */
	async function closedAmid(answer: Answer) {
		const { url, requests } = await serve(answer);
		const asking = client({ connections: 2 });
		const ask = () => asking.request({ method: "GET", url }).then((response) => text(response));
		const asked = Promise.allSettled(Array.from({ length: 5 }, ask));
		await vi.waitFor(() => expect(requests).toHaveLength(2));
		asking.close(new Error("enough"));
		const ended = [...(await asked), ...(await Promise.allSettled([ask()]))];
		expect(requests).toHaveLength(2);
		return ended.map((one) => (one.status === "rejected" ? (one.reason as Error).message : one.value));
	}

	it("ends what is under way, what waits for a connection, and what is asked later, with the reason", async () => {
		expect(await closedAmid(() => {})).toEqual(Array(6).fill("enough"));
	});

	it("ends answers that have begun", async () => {
		const [first, second, ...later] = await closedAmid((_, response) => response.write("a part of it"));
		expect([first, second]).toEqual(["aborted", "aborted"]);
		expect(later).toEqual(Array(4).fill("enough"));
	});
});

describe("the time", () => {
	const half: Answer = (_, response) => {
		response.writeHead(200, { "content-length": 100 }).write("half");
	};

	it.each([
		["an answer", () => {}],
		["the rest of an answer", half],
	])("for %s is over when the signal says so", async (_, answer: Answer) => {
		const { url } = await serve(answer);
		const asked = ask(url, { signal: AbortSignal.timeout(100) });
		await expect(asked).rejects.toMatchObject({ name: expect.stringMatching(/^(Timeout|Abort)Error$/) });
	});

	it("is over while it waits to ask again", async () => {
		const { url, requests } = await serve((_, response) => response.writeHead(429, { "retry-after": "60" }).end());
		const patient = client({ longest: 60_000 });
		const asked = patient.request({ method: "GET", url, signal: AbortSignal.timeout(100) });
		await expect(asked).rejects.toThrow(/timeout|aborted/);
		expect(requests).toHaveLength(1);
	});

	it.each([
		["before an answer", () => {}],
		["within an answer", half],
	])("is over when nothing comes for so long %s", async (_, answer: Answer) => {
		const { url } = await serve(answer);
		await expect(ask(url, { silence: 100 })).rejects.toMatchObject({
			name: "TimeoutError",
			message: "nothing came for 100 milliseconds",
		});
	});

	it("is over when there is no connection for so long, which is not tried again", async () => {
		let connections = 0;
		const silent = createTcpServer(() => connections++).listen(0, "127.0.0.1");
		await once(silent, "listening");
		onTestFinished(() => void silent.close());
		// No TLS comes of it, as of a host that drops what it gets.
		const url = new URL(`https://127.0.0.1:${(silent.address() as AddressInfo).port}/`);
		const asked = client({ reach: 100 }).request({ method: "GET", url });
		await expect(asked).rejects.toThrow("there was no connection within 100 milliseconds");
		expect(connections).toBe(1);
	});

	it("for a connection is not that for an answer, whoever had the connection before", async () => {
		const { url } = await serve((_, response) => void setTimeout(() => response.end("content"), 600));
		const one = client({ reach: 500, connections: 1 });
		const asked = [1, 2].map(async () => text(await one.request({ method: "GET", url })));
		expect(await Promise.all(asked)).toEqual(["content", "content"]);
	});

	it("is not over as long as something comes", async () => {
		const { url } = await serve((_, response) => {
			response.writeHead(200, { "content-length": 6 });
			const timer = setInterval(() => response.write("x"), 100);
			response.on("close", () => clearInterval(timer));
		});
		expect((await ask(url, { silence: 500 })).body).toBe("xxxxxx");
	});
});

it("what is no TLS will be none in a moment, and is not asked for twice", async () => {
	const { url, server } = await serve(() => {});
	let connections = 0;
	server.on("connection", () => connections++);
	url.protocol = "https:";
	await expect(ask(url)).rejects.toThrow(/wrong version number|packet length/);
	expect(connections).toBe(1);
});
