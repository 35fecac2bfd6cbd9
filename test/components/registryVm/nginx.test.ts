/** The nginx.conf of the VM, as nginx understands it, in front of registries that take their time. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { Agent, request } from "undici";
import { afterAll, beforeAll, expect, it } from "vitest";
import { nginx } from "../../../components/registryVm/nginx.ts";
import { registries } from "../../../components/registryVm/registries.ts";
import { debianProgram } from "../../../lab/debianProgram.ts";
import { freePort } from "../../../lab/freePort.ts";
import { Step, until } from "../../../lab/run.ts";

const BLOB = `/v2/library/app/blobs/sha256:${"a".repeat(64)}`;
/** nginx lets another request through after 5 s, unless it is told otherwise. */
const SLOW = 6000;
const BIG = 64 * 1024 * 1024;

let folder: string;
let upstream: Server;
const asked: string[] = [];
/** How much of the big blob the registry could give away so far. */
let given = 0;
let url: { cache: string; own: string; metrics: string };
const anyCertificate = new Agent({ connect: { rejectUnauthorized: false } });
let stop: () => Promise<unknown>;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "nginx-test-"));
	await chmod(folder, 0o755); // Where we are root, nginx works as nobody.
	upstream = createServer((incoming, answer) => {
		asked.push(`${incoming.method} ${incoming.url}`);
		if (incoming.url === "/metrics") {
			const { accept, "accept-encoding": encoding = "" } = incoming.headers;
			const isPlain = accept === "text/plain; version=0.0.4" && encoding === "";
			answer.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
			answer.end(isPlain ? "of_the_cache 1\n" : "in another format");
			return;
		}
		const [, from, to] = /^bytes=(\d)-(\d)$/.exec(incoming.headers.range ?? "") ?? [];
		if (from !== undefined) {
			const bytes = "abc".slice(Number(from), Number(to) + 1);
			answer.writeHead(206, { "content-range": `bytes ${from}-${to}/3`, "content-length": bytes.length }).end(bytes);
			return;
		}
		if (incoming.url === BLOB) {
			setTimeout(() => answer.writeHead(200, { "content-length": 3 }).end("abc"), SLOW);
			return;
		}
		answer.writeHead(200, { "content-length": BIG });
		const chunk = Buffer.alloc(64 * 1024);
		const write = () => {
			while (given < BIG) {
				given += chunk.length;
				if (!answer.write(chunk)) return answer.once("drain", write);
			}
			return answer.end();
		};
		write();
	}).listen(0, "127.0.0.1");
	await once(upstream, "listening");
	const [cachePort, ownPort, metricsPort] = [await freePort(), await freePort(), await freePort()];
	url = {
		cache: `http://127.0.0.1:${cachePort}`,
		own: `https://127.0.0.1:${ownPort}`,
		metrics: `http://127.0.0.1:${metricsPort}`,
	};
	await mkdir(join(folder, "temp"));
	await mkdir(join(folder, "tls"));
	const pair = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-subj", "/CN=registry.example.com", "-nodes"];
	await execa("openssl", ["req", "-x509", "-newkey", "rsa:2048", ...pair], { cwd: join(folder, "tls") });
	const role = {
		uiPort: 1,
		uiSettings: {},
		subnet: "172.28.50.0/24",
		caches: [{ name: "hub", port: cachePort, metricsPort, upstream: "https://example.com", authenticated: false }],
		private: { name: "private", port: ownPort, hostname: "registry.example.com", maxSize: "1GiB" },
	};
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
		(name) => `${name}_temp_path ${folder}/temp/${name};`,
	);
	const config = nginx(registries(role))
		.replaceAll(/172\.28\.50\.\d+:500[01]/g, `127.0.0.1:${(upstream.address() as AddressInfo).port}`)
		.replaceAll("/etc/nginx/tls", join(folder, "tls"))
		.replaceAll("/etc/nginx/metrics", join(folder, "metrics"))
		.replaceAll("/var/cache/nginx", folder)
		.replaceAll("/dev/stdout", join(folder, "access.log"))
		.replaceAll("/dev/stderr", join(folder, "error.log"))
		.replace("http {", `http { ${temporary.join(" ")}`);
	await writeFile(join(folder, "nginx.conf"), `pid ${folder}/pid;\n${config}`);
	const program = await debianProgram(new Step("nginx"), "/usr/sbin/nginx", ["nginx", "libpcre2-8-0"]);
	const child = spawn(
		program.path,
		["-e", join(folder, "error.log"), "-c", join(folder, "nginx.conf"), "-g", "daemon off;"],
		{
			env: { ...process.env, ...(program.libraries && { LD_LIBRARY_PATH: program.libraries }) },
			stdio: "ignore",
		},
	);
	const ended = once(child, "exit");
	stop = () => {
		child.kill("SIGTERM");
		return ended;
	};
	await until("nginx answers", 10, () =>
		request(`${url.cache}/healthz`).then(
			({ statusCode }) => statusCode === 200,
			() => false,
		),
	);
}, 120_000);
afterAll(async () => {
	await stop();
	upstream.closeAllConnections();
	upstream.close();
	await anyCertificate.close();
	await rm(folder, { recursive: true });
});

it("ten clients that want one blob of a slow registry make one request of it, and are told apart in the log", async () => {
	const answers = await Promise.all(
		Array.from({ length: 10 }, async () => (await request(url.cache + BLOB)).body.text()),
	);
	expect(answers).toEqual(Array(10).fill("abc"));
	expect(asked).toEqual([`GET ${BLOB}`]);
	const lines = await until("all are logged", 10, async () => {
		const found = (await readFile(join(folder, "access.log"), "utf8")).trim().split("\n");
		return found.length >= 10 && found.map((line) => JSON.parse(line));
	});
	expect(lines.map(({ cache }) => cache).sort()).toEqual([...Array(9).fill("HIT"), "MISS"]);
	const [miss] = lines.filter(({ cache }) => cache === "MISS");
	expect(miss).toMatchObject({ method: "GET", uri: BLOB, status: "200", bytes: "3" });
	expect(Number(miss.upstream_seconds)).toBeGreaterThan(SLOW / 1000 - 1);
}, 30_000);

it("a big pull from the private registry goes at the client's speed, and leaves nothing on nginx's disk", async () => {
	const { body } = await request(`${url.own}/v2/app/blobs/sha256:${"b".repeat(64)}`, { dispatcher: anyCertificate });
	const reader = body[Symbol.asyncIterator]();
	await reader.next();
	// The client reads no further. What is under way is in the kernel's buffers, and nowhere else.
	let before = -1;
	await until("the registry can give away no more", 20, async () => {
		const quiet = given === before;
		before = given;
		await new Promise((resolve) => setTimeout(resolve, 200));
		return quiet;
	});
	expect(given).toBeLessThan(BIG);
	expect(await readdir(join(folder, "temp/proxy"))).toEqual([]);
	await reader.return?.();
}, 30_000);

it("the last byte of a layer, which a probe asks for all the time, is no line in the log; more bytes are", async () => {
	for (const [range, bytes] of [
		["bytes=2-2", "c"],
		["bytes=1-2", "bc"],
	] as const) {
		const answer = await request(url.own + BLOB, { headers: { range }, dispatcher: anyCertificate });
		expect([answer.statusCode, await answer.body.text()]).toEqual([206, bytes]);
	}
	const lines = await until("the second one is logged", 10, async () => {
		const found = (await readFile(join(folder, "access.log"), "utf8"))
			.split("\n")
			.filter((line) => line.includes('"206"'));
		return found.length > 0 && found.map((line) => JSON.parse(line).bytes);
	});
	expect(lines).toEqual(["2"]);
});

it("nginx itself says that it is well on every port", async () => {
	for (const one of [url.cache, url.own]) {
		const { statusCode, body } = await request(`${one}/healthz`, { dispatcher: anyCertificate });
		expect([statusCode, await body.text()]).toEqual([200, "ok\n"]);
	}
	expect(await readFile(join(folder, "access.log"), "utf8")).not.toContain("healthz");
});

it("the VM's metrics come after the cache's, in whatever format they are asked for; alone, nobody gets them", async () => {
	const headers = { accept: "application/openmetrics-text;version=1.0.0", "accept-encoding": "gzip" };
	const ask = async (path: string) => {
		const { statusCode, body } = await request(url.metrics + path, { headers });
		return [statusCode, await body.text()];
	};
	// Before the first measurement.
	expect(await ask("/metrics")).toEqual([200, "of_the_cache 1\n"]);
	await mkdir(join(folder, "metrics"));
	await writeFile(join(folder, "metrics/vm.prom"), "of_the_vm 2\n");
	expect(await ask("/metrics")).toEqual([200, "of_the_cache 1\nof_the_vm 2\n"]);
	expect((await ask("/vm.prom"))[0]).toBe(404);
});
