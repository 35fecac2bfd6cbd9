/** How the client deals with a registry that is slow, busy, or wants to be logged in to. */
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { Registry, type RegistryOptions } from "../../oci/registry.ts";
import { type Answer, serve as serveHttp } from "../httpServer.ts";

/** A registry that answers as it is told, and a client of it. */
async function serve(answer: Answer) {
	const { requests, url } = await serveHttp(answer);
	const registry = (more: Partial<RegistryOptions> = {}) => new Registry({ url, patience: 1, ...more });
	return { requests, registry };
}
const credentials = { user: "me", password: "secret" };
const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;

describe("a busy registry", () => {
	it.each([429, 500, 503])("that answers %i twice is asked a third time", async (status) => {
		const { registry, requests } = await serve((_, response, nth) => {
			response.statusCode = nth < 3 ? status : 200;
			response.end("content");
		});
		expect((await registry().manifest("app", "1")).body.toString()).toBe("content");
		expect(requests).toHaveLength(3);
	});

	it("that never does anything but 503 could not be asked", async () => {
		const { registry } = await serve((_, response) => response.writeHead(503).end());
		await expect(registry().head("app", "sha256:1")).rejects.toThrow(/HEAD http.*app\/blobs\/sha256:1: answered 503/);
	});

	it("that cuts the connection once is asked again", async () => {
		const { registry } = await serve((request, response, nth) =>
			nth === 1 ? request.socket.destroy() : response.end("content"),
		);
		expect((await registry().manifest("app", "1")).status).toBe(200);
	});

	it("that does not answer is given up after the deadline", async () => {
		const { registry } = await serve(() => {});
		await expect(registry({ deadline: 300 }).manifest("app", "1")).rejects.toThrow(/timeout|aborted/);
	});
});

describe("logging in", () => {
	it("sends user and password only to a registry that asks for them", async () => {
		const { registry, requests } = await serve((request, response) => {
			if (request.headers.authorization === basic) response.end("content");
			else response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
		});
		expect((await registry({ credentials }).manifest("app", "1")).body.toString()).toBe("content");
		expect(requests.map(({ headers }) => headers.authorization)).toEqual([undefined, basic]);
	});

	it("fetches a token where the registry names who gives it", async () => {
		const { registry, requests } = await serve((request, response) => {
			if (request.url?.startsWith("/token")) response.end(JSON.stringify({ token: "abc" }));
			else if (request.headers.authorization === "Bearer abc") response.end("content");
			else {
				const realm = `http://${request.headers.host}/token`;
				const challenge = `Bearer realm="${realm}",service="registry",scope="repository:app:pull"`;
				response.writeHead(401, { "www-authenticate": challenge }).end();
			}
		});
		expect((await registry({ credentials }).manifest("app", "1")).body.toString()).toBe("content");
		expect(requests[1]?.url).toBe("/token?service=registry&scope=repository%3Aapp%3Apull");
		expect(requests[1]?.headers.authorization).toBe(basic);
	});

	it.each([401, 403])("is told of each refusal by %i, also of more than there are connections", async (status) => {
		const { registry } = await serve((_, response) => response.writeHead(status).end("x".repeat(1000)));
		const client = registry({ credentials, concurrency: 2, deadline: 2_000 });
		for (const name of ["one", "two", "three"])
			await expect(client.tags(name)).rejects.toThrow(new RegExp(`${name}/tags/list.*: answered ${status}; are user`));
	});

	it("has its connections free where no token is given", async () => {
		const { registry } = await serve((request, response) => {
			const challenge = `Bearer realm="http://${request.headers.host}/token"`;
			if (request.url?.startsWith("/token")) response.writeHead(503).end();
			else response.writeHead(401, { "www-authenticate": challenge }).end("x".repeat(1000));
		});
		const client = registry({ concurrency: 2, deadline: 2_000 });
		for (const name of ["one", "two", "three"])
			await expect(client.tags(name)).rejects.toThrow(/gives none: it answered/);
	});

	it("does not try a wrong password for ever", async () => {
		const { registry, requests } = await serve((_, response) =>
			response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end(),
		);
		await expect(registry({ credentials }).manifest("app", "1")).rejects.toThrow(/answered 401; are user and password/);
		expect(requests).toHaveLength(2);
	});
});

describe("content", () => {
	it("that is larger than it should be is not read to its end", async () => {
		const { registry } = await serve((_, response) => response.end("x".repeat(1_000_000)));
		expect((await registry().blob("app", "sha256:1", 10)).body.length).toBeLessThan(1_000_000);
	});

	/** Sends a blob from where it is asked for, at most so many bytes a connection. */
	const inPieces = (bytes: number, status = 206) =>
		serve((request, response) => {
			const content = "0123456789";
			const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
			const rest = content.slice(start);
			response.writeHead(start === 0 ? 200 : status, {
				"content-length": rest.length,
				...(start > 0 && status === 206 && { "content-range": `bytes ${start}-9/10` }),
			});
			if (rest.length <= bytes) response.end(rest);
			else response.write(rest.slice(0, bytes), () => response.destroy());
		});

	it("whose connection is cut comes whole, from where it was cut", async () => {
		const { registry, requests } = await inPieces(4);
		expect(await text(await registry().open("app", "sha256:1"))).toBe("0123456789");
		expect(requests.map(({ headers }) => headers.range)).toEqual([undefined, "bytes=4-", "bytes=8-"]);
	});

	it("whose connection is cut all the time is given up", async () => {
		const { registry } = await inPieces(1);
		const content = text(await registry().open("app", "sha256:1"));
		await expect(content).rejects.toThrow(/blob sha256:1 of app: the connection was cut 4 times, last after 4 bytes/);
	});

	it("whose rest begins somewhere else is not put together", async () => {
		const { registry } = await inPieces(4, 200);
		const content = text(await registry().open("app", "sha256:1"));
		await expect(content).rejects.toThrow(/blob sha256:1 of app from byte 4 on: answered 200/);
	});
});
