/** What a probe of a registry that is moving says of it. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { createServer as createTlsServer } from "node:tls";
import { execa } from "execa";
import { afterAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { INTERVAL, PATIENCE } from "../../../components/integrityMonitoring/names.ts";
import { shownCertificate } from "../../../components/integrityMonitoring/probe/certificate.ts";
import { push } from "../../../components/integrityMonitoring/probe/metrics.ts";
import { probe } from "../../../components/integrityMonitoring/probe/probe.ts";
import { probeProgram } from "../../../components/integrityMonitoring/program.ts";
import { Registry } from "../../../oci/registry.ts";
import { serve } from "../../httpServer.ts";

const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const OCI = "application/vnd.oci.image";
const layers = ["one", "two", "three", "four"].map((text) => `layer ${text}`);
const config = JSON.stringify({ os: "linux", architecture: "amd64" });
const describes = (mediaType: string, text: string) => ({ mediaType, digest: digestOf(text), size: text.length });
const manifest = JSON.stringify({
	schemaVersion: 2,
	mediaType: `${OCI}.manifest.v1+json`,
	config: describes(`${OCI}.config.v1+json`, config),
	layers: layers.map((text) => describes(`${OCI}.layer.v1.tar`, text)),
});

/**
 * A registry with one image as `app:1` and in `canary:latest`; `tags` are those of app, anew for each time they are listed.
 * It never answers where it hangs.
 */
async function registryWith(tags: () => string[], hangs: (url: string) => boolean = () => false) {
	const readWhole: string[] = [];
	const { url } = await serve((request, response) => {
		const url = request.url as string;
		if (hangs(url)) return;
		const send = (body: string, headers: object = {}) =>
			response.writeHead(200, { "content-length": body.length, ...headers }).end(request.method === "HEAD" ? "" : body);
		if (request.headers.authorization === undefined) {
			const headers = { "www-authenticate": 'Basic realm="r"', "x-registry-name": "private" };
			response.writeHead(401, headers).end();
		} else if (url.startsWith("/v2/app/tags")) {
			try {
				send(JSON.stringify({ tags: tags() }));
			} catch {
				response.writeHead(503).end();
			}
		} else if (url.startsWith("/v2/_catalog")) send('{"repositories":["app","canary"]}');
		else if (url.startsWith("/v2/canary/tags")) send('{"tags":["latest"]}');
		else if (/manifests\/(\d+|latest|sha256:.*)$/.test(url))
			send(manifest, { "content-type": `${OCI}.manifest.v1+json` });
		else {
			const text = [config, ...layers].find((one) => url.endsWith(digestOf(one)));
			const range = request.headers.range;
			if (text === undefined) response.writeHead(404).end();
			else if (range !== undefined) response.writeHead(206).end(text.at(-1));
			else {
				if (request.method === "GET" && url.startsWith("/v2/app/") && text !== config) readWhole.push(text);
				send(text);
			}
		}
	});
	const registry = new Registry({ url, credentials: { user: "me", password: "secret" }, patience: 1 });
	onTestFinished(() => registry.close());
	return { registry, readWhole, url };
}

const look = (registry: Registry, now = 0, budget = 60_000) =>
	probe(registry, { name: "private", canary: "canary", now, budget });
const all = { left: [], coverage: 1 };

describe("a registry that is moving", () => {
	it("a tag that goes away between the list and the look is not broken", async () => {
		let listed = 0;
		const { registry } = await registryWith(() => (++listed === 1 ? ["1", "going"] : ["1"]));
		expect(await look(registry)).toEqual({
			defects: [],
			inconclusive: [],
			repositories: 2,
			tags: 3,
			indexes: 0,
			...all,
		});
	});

	it("what can't be looked at a second time stays broken", async () => {
		let listed = 0;
		const { registry } = await registryWith(() => {
			if (++listed > 1) throw new Error("busy");
			return ["1", "gone"];
		});
		const { defects, inconclusive } = await look(registry);
		expect(defects.map(({ subject }) => subject)).toEqual(["gone"]);
		expect(inconclusive).toEqual([expect.stringMatching(/app\/tags\/list.*: answered 503/)]);
	});

	it("a tag that is still listed and leads nowhere is broken", async () => {
		const { registry } = await registryWith(() => ["1", "gone"]);
		expect((await look(registry)).defects).toEqual([
			{
				repository: "app",
				references: ["gone"],
				subject: "gone",
				detail: "is not there: the registry answered 404",
			},
		]);
	});
});

/** A registry of which everything but whole blobs is asked once, so that a week of runs takes a second. */
function remembered(registry: Registry): Registry {
	const answers = new Map<string, unknown>();
	const get = (_: Registry, name: string) => {
		const ask = Reflect.get(registry, name) as (...args: unknown[]) => unknown;
		return (...args: unknown[]) => {
			const key = JSON.stringify([name, ...args]);
			if (name === "digest" || !answers.has(key)) answers.set(key, ask.apply(registry, args));
			return answers.get(key);
		};
	};
	return new Proxy(registry, { get } as ProxyHandler<Registry>);
}

it("reads every blob whole once in a week of runs", async () => {
	const { registry, readWhole } = await registryWith(() => ["1"]);
	const asked = remembered(registry);
	const runs = (7 * 24 * 3600) / INTERVAL;
	for (let i = 0; i < runs; i++) await look(asked, (1_700_000_000 + i * INTERVAL) * 1000);
	expect(readWhole.sort()).toEqual([...layers].sort());
});

/** A Pushgateway that has these groups, and takes whatever is pushed; `body` is all of that. */
async function receiving(data: object[] = []) {
	let body = "";
	const { url } = await serve(async (request, response) => {
		if (request.method === "GET") return response.end(JSON.stringify({ data }));
		body += await text(request);
		response.end();
	});
	return { url, body: () => body };
}

describe("a registry that is too large for the time of a run", () => {
	const names = Array.from({ length: 40 }, (_, i) => (i === 0 ? "canary" : `app-${i}`));

	/** The clock by which a run knows that its time is over, in milliseconds; how quick this machine is does not count. */
	let now: number;
	beforeEach(() => {
		now = 0;
		const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
		return () => clock.mockRestore();
	});

	it("is looked at in shares, and in a few runs as a whole", async () => {
		const seen = new Set<string>();
		for (let run = 0; run < 8; run++) {
			const slow = {
				identity: async () => ({ status: 401, name: "private" }),
				catalog: async () => names,
				tags: async (repository: string) => {
					seen.add(repository);
					now += 2;
					return [];
				},
			};
			const { left, coverage, repositories } = await look(slow as never, run * INTERVAL * 1000, 50);
			expect(repositories + left.length).toBe(names.length);
			expect(coverage).toBeCloseTo(repositories / names.length);
			expect(left.length).toBeGreaterThan(10);
		}
		expect([...seen].sort()).toEqual([...names].sort());
	});

	it("of one repository, a share of its tags is looked at", async () => {
		const count = (url: string) => {
			if (url.startsWith("/v2/app/manifests/")) now++;
			return false;
		};
		const { registry } = await registryWith(() => Array.from({ length: 1250 }, (_, i) => String(i)), count);
		const { left, coverage, tags } = await look(registry, 0, 600);
		expect(left).toEqual(["app"]);
		// In the second part of 500; those that were under way then are finished.
		expect(tags).toBeGreaterThan(600);
		expect(tags).toBeLessThan(620);
		expect(coverage).toBeCloseTo(((tags - 1) / 1250 + 1) / 2);
	});

	it("what was broken in what is left stays counted, and nothing else of before", async () => {
		const former = (repository: string, value: string, instance = "i") => ({
			labels: { job: "registry-integrity-probe", instance },
			registry_manifest_integrity_repository_failures: {
				metrics: [{ labels: { job: "registry-integrity-probe", instance, repository }, value }],
			},
		});
		const data = [former("app-1", "2"), former("gone", "3"), former("app-2", "7", "other")];
		const gateway = await receiving(data);
		const defect = { repository: "app-3", references: ["1"], subject: "1", detail: "is not there" };
		const report = {
			...{ defects: [defect], inconclusive: [], repositories: 1, tags: 1, indexes: 0 },
			...{ left: ["app-1", "app-2"], coverage: 0.25 },
		};
		const run = { report, start: 0, end: 1, requests: 1, bytes: 1, certificate: undefined, declared: undefined };
		await push(gateway.url, "i", run);
		const body = gateway.body();
		const lines = body.split("\n").filter((line) => line.includes("failures") && !line.startsWith("#"));
		expect(lines.sort()).toEqual([
			"registry_manifest_integrity_failures 3",
			'registry_manifest_integrity_repository_failures{repository="app-1"} 2',
			'registry_manifest_integrity_repository_failures{repository="app-3"} 1',
		]);
		expect(body).toContain("registry_manifest_integrity_coverage 0.25\n");
	});
});

describe("the Pushgateway's URL", () => {
	const run = {
		report: { defects: [], inconclusive: [], repositories: 1, tags: 1, indexes: 0, ...all },
		...{ start: 0, end: 1000, requests: 1, bytes: 1, certificate: undefined, declared: undefined },
	};
	const listen = async (status: number) => {
		const { requests, port } = await serve((request, response) =>
			request.resume().once("end", () => response.writeHead(status).end("words of the Pushgateway")),
		);
		return { requests, address: `127.0.0.1:${port}` };
	};

	it("may end with a slash, and have a user and a password, which are sent and not shown", async () => {
		const { requests, address } = await listen(200);
		await push(`http://us%40er:pass%3Aword@${address}/`, "i", run);
		expect(requests[0]).toMatchObject({
			url: "/metrics/job/registry-integrity-probe/instance/i",
			headers: { authorization: `Basic ${Buffer.from("us@er:pass:word").toString("base64")}` },
		});
	});

	it("is shown without them where it refuses, or is not there", async () => {
		const { address } = await listen(400);
		const refused = push(`http://user:password@${address}/`, "i", run);
		await expect(refused).rejects.toThrow(`the Pushgateway http://${address} answered 400: words of the Pushgateway`);
		await expect(push("http://user:password@127.0.0.1:1/", "i", run)).rejects.toThrow(
			/^the Pushgateway http:\/\/127\.0\.0\.1:1 was not reached/,
		);
	});
});

describe("the certificate that the registry shows", () => {
	const folder = mkdtempSync(join(tmpdir(), "shown-certificate-test-"));
	afterAll(() => rmSync(folder, { recursive: true }));

	const show = async (days: number, host = "127.0.0.1") => {
		const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days ${days} -subj /CN=127.0.0.1 -keyout ${folder}/key -out ${folder}/pem`;
		execFileSync("openssl", args.split(" "), { stdio: "pipe" });
		const [key, cert] = [readFileSync(join(folder, "key")), readFileSync(join(folder, "pem"))];
		const server = createTlsServer({ key, cert }).listen(0, host);
		await once(server, "listening");
		onTestFinished(() => void server.close());
		const printed = execFileSync("openssl", ["x509", "-noout", "-fingerprint", "-sha256", "-in", join(folder, "pem")]);
		const fingerprint = printed.toString().trim().split("=")[1] as string;
		const { port } = server.address() as AddressInfo;
		return { url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`, fingerprint };
	};

	it("is seen with its days and its fingerprint, though nobody vouches for it, and after it has ended, too", async () => {
		const { url, fingerprint } = await show(30);
		const found = await shownCertificate(url, Date.now());
		expect(found?.fingerprint).toBe(fingerprint);
		expect(found?.daysLeft).toBeGreaterThan(29.9);
		expect(found?.daysLeft).toBeLessThan(30.1);
		const later = await shownCertificate(url, Date.now() + 31 * 24 * 3600 * 1000);
		expect(later?.daysLeft).toBeLessThan(0);
	});

	const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
	it.runIf(hasIpv6)("is seen at an IPv6 address, too", async () => {
		const { url, fingerprint } = await show(30, "::1");
		expect((await shownCertificate(url, Date.now()))?.fingerprint).toBe(fingerprint);
	});

	it("where nobody answers, or somebody without TLS does, is none, and no metric says that it is well", async () => {
		const { port } = await serve(() => {});
		expect(await shownCertificate(`https://127.0.0.1:${port}`, 0)).toBeUndefined();
		expect(await shownCertificate("https://127.0.0.1:1", 0)).toBeUndefined();
	});

	it.each([
		["the declared one", "AA", ["registry_certificate_days_left 12.5", "registry_certificate_as_declared 1"], []],
		["another one", "BB", ["registry_certificate_days_left 12.5", "registry_certificate_as_declared 0"], []],
		["one, and none is declared", undefined, ["registry_certificate_days_left 12.5"], ["as_declared"]],
	])("%s is a metric", async (_, declared, expected, absent) => {
		const gateway = await receiving();
		const report = { defects: [], inconclusive: [], repositories: 1, tags: 1, indexes: 0, ...all };
		const certificate = { daysLeft: 12.5, fingerprint: "AA" };
		const run = { report, start: 0, end: 1000, requests: 1, bytes: 1, certificate, declared };
		await push(gateway.url, "i", run);
		const body = gateway.body();
		for (const line of expected) expect(body.split("\n")).toContain(line);
		for (const name of absent) expect(body).not.toContain(name);
	});
});

it("a registry that hangs is told of before the run is ended from outside: what it did not answer is inconclusive", async () => {
	const { url } = await registryWith(
		() => ["1"],
		(asked) => /\/app\/blobs\//.test(asked),
	);
	const gateway = await receiving();
	const folder = mkdtempSync(join(tmpdir(), "hanging-registry-test-"));
	onTestFinished(() => rmSync(folder, { recursive: true }));
	writeFileSync(join(folder, "probe.cjs"), probeProgram());
	// The 13 minutes pass in a second.
	const hurry = `const real = setTimeout; globalThis.setTimeout = (call, ms, ...more) => real(call, ms === ${PATIENCE} * 1000 ? 1000 : ms, ...more);`;
	writeFileSync(join(folder, "hurry.cjs"), hurry);
	const env = {
		...{ REGISTRY_URL: url, REGISTRY_NAME: "private", REGISTRY_USER: "me", REGISTRY_PASSWORD: "secret" },
		...{ CANARY: "canary", PUSHGATEWAY_URL: gateway.url, INSTANCE: "i" },
	};
	const args = ["--require", join(folder, "hurry.cjs"), join(folder, "probe.cjs")];
	const { exitCode, stdout } = await execa(process.execPath, args, { env, reject: false, timeout: 20_000 });
	expect(exitCode).toBe(1);
	const untold = stdout.split("\n").filter((line) => line.startsWith("could not tell: "));
	// The config and its four layers.
	expect(untold).toHaveLength(5);
	for (const line of untold)
		expect(line).toMatch(/GET http.*\/app\/blobs\/sha256:.*: there was no answer when the run's time was over$/);
	expect(gateway.body()).toContain("registry_manifest_integrity_inconclusive 5\n");
	// Whatever was found before stays counted.
	expect(gateway.body()).not.toContain("registry_manifest_integrity_failures");
});

it("the program takes no more of the ConfigMap, and of Pulumi's state, than what it uses of its libraries", () => {
	expect(probeProgram().length).toBeLessThan(45_000);
});
