/**
 * Odd but legal things that registry 2.8.3 takes, and what is not the registry's fault: none of them is called broken,
 * none stops the collection, and what is broken in them is still found.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cleanupTags } from "../../components/registryVm/upkeep/cleanupTags.ts";
import { findGarbage, removeGarbage } from "../../components/registryVm/upkeep/collect.ts";
import { scan } from "../../components/registryVm/upkeep/scan.ts";
import { Store } from "../../components/registryVm/upkeep/store.ts";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { LABEL } from "../../lab/estate.ts";
import { freePort } from "../../lab/freePort.ts";
import { buildImages } from "../../lab/images.ts";
import { Step, until } from "../../lab/run.ts";
import { Registry } from "../../oci/registry.ts";
import { walk } from "../../oci/walk.ts";
import { type Answer, serve } from "../httpServer.ts";
import { checkout, run } from "./lab.ts";

const OCI = "application/vnd.oci.image";
const step = new Step("test-shapes");
const data = mkdtempSync(join(tmpdir(), "shapes-test-"));
const store = new Store(data);
let engine: Engine;
let container: string;
let address: string;

beforeAll(async () => {
	engine = (await findEngine(step)) as Engine;
	const { registry } = await buildImages(engine, step, () => {});
	const options = [
		"--detach",
		"--label",
		LABEL,
		"--publish",
		"127.0.0.1::5000",
		"--volume",
		`${data}:/var/lib/registry`,
	];
	container = await engine.docker(step, ["run", ...options, registry]);
	address = await engine.docker(step, ["port", container, "5000/tcp"]);
	await until("the registry answers", 30, async () => {
		return (await fetch(`http://${address}/v2/`).catch(() => undefined))?.ok;
	});
});
afterAll(async () => {
	await engine.docker(step, ["rm", "--force", "--volumes", container]);
	rmSync(data, { recursive: true });
});

const digestOf = (content: string | Buffer, algorithm = "sha256") =>
	`${algorithm}:${createHash(algorithm).update(content).digest("hex")}`;

async function put(path: string, body: string, type: string): Promise<void> {
	const response = await fetch(`http://${address}${path}`, { method: "PUT", body, headers: { "content-type": type } });
	if (response.status !== 201) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
}

async function blob(repository: string, content: string, algorithm = "sha256") {
	const digest = digestOf(content, algorithm);
	const begun = await fetch(`http://${address}/v2/${repository}/blobs/uploads/`, { method: "POST" });
	const upload = new URL(begun.headers.get("location") as string, `http://${address}`);
	upload.searchParams.set("digest", digest);
	await put(`${upload.pathname}${upload.search}`, content, "application/octet-stream");
	return { digest, size: Buffer.byteLength(content) };
}

async function manifest(repository: string, content: object, mediaType: string, reference?: string) {
	const text = JSON.stringify(content);
	const digest = digestOf(text);
	await put(`/v2/${repository}/manifests/${reference ?? digest}`, text, mediaType);
	return { mediaType, digest, size: Buffer.byteLength(text) };
}

async function image(repository: string, name: string, tag?: string, more: object = {}) {
	const config = {
		mediaType: `${OCI}.config.v1+json`,
		...(await blob(repository, JSON.stringify({ name, os: "linux", architecture: "amd64" }))),
	};
	const layers = [{ mediaType: `${OCI}.layer.v1.tar`, ...(await blob(repository, `layer of ${name}`)) }];
	const content = { schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers, ...more };
	return manifest(repository, content, `${OCI}.manifest.v1+json`, tag);
}

const look = async (repository: string, reference: string, url = `http://${address}`, deep = false) => {
	const registry = new Registry({ url, patience: 1, deadline: 5000 });
	try {
		const { defects, inconclusive } = await walk(registry, repository, [reference], { deep: () => deep });
		return { defects: defects.map(({ subject, detail }) => `${subject} ${detail}`), inconclusive };
	} finally {
		registry.close();
	}
};
const whole = { defects: [], inconclusive: [] };
const scanned = (repository: string) =>
	scan(store, { registry: "private", cache: false, fix: false, deep: true }).filter(
		(one) => one.repository === repository,
	);
/** Collects whatever nothing refers to, with no grace; the registry has no cache that would have to forget. */
const collect = () => removeGarbage(store, findGarbage(store, { grace: 0 }));

describe("what is whole is called whole, by the walk and by the scan, and outlives a collection:", () => {
	const survives = async (repository: string, reference: string) => {
		for (const deep of [false, true]) expect(await look(repository, reference, undefined, deep)).toEqual(whole);
		expect(scanned(repository)).toEqual([]);
		collect();
		expect(await look(repository, reference, undefined, true)).toEqual(whole);
	};

	it("a build cache of BuildKit: an index whose entries are layers", async () => {
		const layers = [{ mediaType: `${OCI}.layer.v1.tar+gzip`, ...(await blob("cache", "a layer")) }];
		const config = { mediaType: "application/vnd.buildkit.cacheconfig.v0", ...(await blob("cache", "{}")) };
		const index = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [...layers, config] };
		await manifest("cache", index, `${OCI}.index.v1+json`, "buildcache");
		await survives("cache", "buildcache");
	});

	it.each([
		["null", { layers: null }],
		["not there", { layers: undefined }],
	])("an image whose layers are %s", async (name, more) => {
		const repository = `layers-${name.replaceAll(" ", "-")}`;
		await image(repository, name, "v1", more);
		await survives(repository, "v1");
	});

	it("a layer that is named by SHA-512", async () => {
		const layer = { mediaType: `${OCI}.layer.v1.tar`, ...(await blob("sha512", "another layer", "sha512")) };
		await image("sha512", "sha512", "v1", { layers: [layer] });
		expect(layer.digest).toMatch(/^sha512:/);
		await survives("sha512", "v1");
	});

	it("an index that says a platform which the config of its child does not say", async () => {
		const config = { mediaType: `${OCI}.config.v1+json`, ...(await blob("platform", "{}")) };
		const child = await image("platform", "platform", undefined, { config });
		const entry = { ...child, platform: { os: "linux", architecture: "amd64" } };
		const index = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [entry] };
		await manifest("platform", index, `${OCI}.index.v1+json`, "v1");
		await survives("platform", "v1");
	});

	it("a tag and a digest behind it, of which the digest counts", async () => {
		const { digest } = await image("both", "first", "v1");
		await image("both", "second", "v1");
		const verify = (...args: string[]) =>
			run("node", ["scripts/verify.ts", "--plain-http", ...args], { cwd: checkout });
		const { exitCode, output } = await verify(`${address}/both:v1@${digest}`);
		expect(output).toContain("is whole: 1 manifests");
		expect(exitCode).toBe(0);
		const gone = await verify(`${address}/both:v1@sha256:${"0".repeat(64)}`);
		expect(gone.exitCode).toBe(1);
	});
});

describe("what is broken in them is found:", () => {
	const truncate = (digest: string) => truncateSync(store.blobPath(digest), 1);

	it("a layer of a build cache that was cut short", async () => {
		const layer = { mediaType: `${OCI}.layer.v1.tar+gzip`, ...(await blob("cut-cache", "a layer that is cut")) };
		const index = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [layer] };
		await manifest("cut-cache", index, `${OCI}.index.v1+json`, "v1");
		truncate(layer.digest);
		expect((await look("cut-cache", "v1")).defects).toEqual([expect.stringContaining(layer.digest)]);
		expect(scanned("cut-cache")).toMatchObject([{ problem: "wrong-size" }]);
		rmSync(join(data, "docker/registry/v2/repositories/cut-cache"), { recursive: true });
	});
});

describe("signed images", () => {
	it("keep their signatures through cleanup and collection, and ten images are kept, not ten tags", async () => {
		const sign = ({ digest }: { digest: string }) =>
			image("signed", `sig of ${digest}`, `${digest.replace(":", "-")}.sig`);
		for (const tag of ["latest", ...Array.from({ length: 12 }, (_, i) => `v${i}`)]) {
			const pushed = await image("signed", tag, tag);
			await sign(pushed);
			await new Promise((resolve) => setTimeout(resolve, 20)); // So that each tag has a time of its own.
		}
		const gone = cleanupTags(store, { keep: 10, protect: /^latest$/, dryRun: false, grace: 0 });
		expect(gone.filter((tag) => !tag.endsWith(".sig"))).toEqual(["signed:v1", "signed:v0"]);
		expect(gone).toHaveLength(4);
		collect();
		const { stdout } = await run("crane", ["ls", `${address.replace("127.0.0.1", "localhost")}/signed`]);
		const tags = stdout.split("\n");
		expect(tags.filter((tag) => tag.endsWith(".sig"))).toHaveLength(11);
		for (const tag of tags) expect(await look("signed", tag, undefined, true), tag).toEqual(whole);
		for (const tag of tags.filter((one) => !one.endsWith(".sig"))) {
			const { stdout: digest } = await run("crane", [
				"digest",
				`${address.replace("127.0.0.1", "localhost")}/signed:${tag}`,
			]);
			expect(tags).toContain(`${digest.replace(":", "-")}.sig`);
		}
	});
});

describe("a proxy between the registry and who asks", () => {
	/** Hands everything on, and lets `change` have its way with the answer. */
	async function proxy(
		change: (request: IncomingMessage, response: ServerResponse, upstream: Response, body: Buffer) => void,
	) {
		const { url } = await serve(async (request, response) => {
			const headers = Object.fromEntries(
				Object.entries(request.headers).filter(([name]) => ["accept", "range", "authorization"].includes(name)),
			) as Record<string, string>;
			const upstream = await fetch(`http://${address}${request.url}`, { method: request.method as string, headers });
			for (const name of ["content-type", "docker-content-digest", "content-range", "link"]) {
				const value = upstream.headers.get(name);
				if (value !== null) response.setHeader(name, value);
			}
			response.statusCode = upstream.status;
			change(request, response, upstream, Buffer.from(await upstream.arrayBuffer()));
		});
		return url;
	}
	const isBlob = ({ url }: IncomingMessage) => url?.includes("/blobs/") === true;

	it("that leaves Content-Length out of HEAD hides no truncated layer", async () => {
		const { digest } = await image("no-length", "no-length", "v1");
		const url = await proxy((_request, response, _upstream, body) => {
			response.setHeader("transfer-encoding", "chunked");
			response.end(body);
		});
		expect(await look("no-length", "v1", url)).toEqual(whole);
		const layer = digestOf("layer of no-length");
		truncateSync(store.blobPath(layer), 3);
		expect((await look("no-length", "v1", url)).defects).toEqual([expect.stringContaining(layer)]);
		expect(digest).toMatch(/^sha256:/);
		rmSync(join(data, "docker/registry/v2/repositories/no-length"), { recursive: true });
	});

	it("that cuts connections now and then says nothing about an image", async () => {
		await image("cut", "cut".repeat(1000), "v1");
		let asked = 0;
		const url = await proxy((request, response, _upstream, body) => {
			response.setHeader("content-length", body.length);
			if (isBlob(request) && request.method === "GET" && ++asked % 3 === 1 && body.length > 2) {
				response.write(body.subarray(0, 1 + (asked % (body.length - 1))), () => response.destroy());
			} else response.end(body);
		});
		expect(await look("cut", "v1", url, true)).toEqual(whole);
		expect(asked).toBeGreaterThan(2);
	});

	it("that cuts every connection somewhere else leaves it open what the image is", async () => {
		let asked = 0;
		const url = await proxy((request, response, _upstream, body) => {
			response.setHeader("content-length", body.length);
			if (isBlob(request) && request.method === "GET")
				response.write(body.subarray(0, ++asked), () => response.destroy());
			else response.end(body);
		});
		const { defects, inconclusive } = await look("cut", "v1", url, true);
		expect(defects).toEqual([]);
		expect(inconclusive.join()).toMatch(/the connection was cut \d times, at another byte each time/);
	});

	it("whose pages have no end is not read for ever", async () => {
		const url = await proxy((request, response, _upstream, body) => {
			if (request.url?.includes("tags/list")) response.setHeader("link", '</v2/cut/tags/list?n=1000>; rel="next"');
			response.end(body);
		});
		const registry = new Registry({ url, patience: 1 });
		await expect(registry.tags("cut")).rejects.toThrow(/its pages have no end/);
		registry.close();
	});
});

describe("a token server", () => {
	const listen = async (answer: Answer) => (await serve(answer)).url;
	/** A registry that wants what the challenge says, and takes the token "good" or user:password. */
	const guarded = (challenge: string | string[]) =>
		listen(async (request, response) => {
			const { authorization } = request.headers;
			const basic = `Basic ${Buffer.from("user:password").toString("base64")}`;
			if (authorization !== "Bearer good" && authorization !== basic) {
				response.writeHead(401, { "www-authenticate": challenge as string }).end();
				return;
			}
			const upstream = await fetch(`http://${address}${request.url}`, {
				method: request.method as string,
				headers: {
					accept: String(request.headers.accept ?? "*/*"),
					...(request.headers.range && { range: request.headers.range }),
				},
			});
			const length = upstream.headers.get("content-length");
			response.writeHead(upstream.status, { ...(length && { "content-length": length }) });
			response.end(Buffer.from(await upstream.arrayBuffer()));
		});
	const seen = async (url: string) => {
		const registry = new Registry({ url, patience: 1, credentials: { user: "user", password: "password" } });
		try {
			return await walk(registry, "token", ["v1"]).then(({ inconclusive }) => inconclusive.join());
		} finally {
			registry.close();
		}
	};
	beforeAll(() => image("token", "token", "v1"));

	it.each([
		["in two headers", (bearer: string) => [bearer, 'Basic realm="x"']],
		["in one header", (bearer: string) => `${bearer}, Basic realm="x"`],
		["in the other order", (bearer: string) => `Basic realm="x", ${bearer}`],
	])("and Basic, offered %s: one that can be used is used", async (_, offer) => {
		const tokens = await listen((_request, response) => response.end('{"token":"good"}'));
		expect(
			await seen(await guarded(offer(`Bearer realm="${tokens}/token",service="s",scope="repository:token:pull"`))),
		).toBe("");
	});

	it("that names no realm is passed over for Basic", async () => {
		expect(await seen(await guarded('Bearer service="s", Basic realm="x"'))).toBe("");
	});

	it.each([
		["that answers 503", (response: ServerResponse) => response.writeHead(503).end(), /gives none: it answered 503/],
		[
			"that answers with a page",
			(response: ServerResponse) => response.end("<html>"),
			/gives none: its answer has no token/,
		],
		["that answers null", (response: ServerResponse) => response.end("null"), /gives none: its answer has no token/],
	])("%s: it can't be told, with the reason", async (_, answer, message) => {
		const tokens = await listen((_request, response) => answer(response));
		expect(await seen(await guarded(`Bearer realm="${tokens}/token"`))).toMatch(message);
	});

	it("that is down, and one without a name: it can't be told, with the reason", async () => {
		const port = await freePort();
		expect(await seen(await guarded(`Bearer realm="http://127.0.0.1:${port}/token"`))).toMatch(
			/wants a token, and http:.* gives none: .*ECONNREFUSED/,
		);
		expect(await seen(await guarded('Bearer service="s"'))).toMatch(
			/wants a token, and names no server that gives one/,
		);
	});
});
