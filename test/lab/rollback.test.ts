/** What is broken is refused before it is live, or put back when only running it can tell. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { caches, published } from "../../lab/estate.ts";
import { begin, containers, drift, leave, onVm, run, up, type Variant, variant } from "./lab.ts";

let changed: Variant;
let bounce: number;
beforeAll(async () => {
	await begin();
	changed = await variant();
	bounce = await normalBounce();
});
afterEach(async () => {
	await changed[Symbol.asyncDispose]();
	changed = await variant();
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await leave();
});

const files = () => onVm("sha256sum /opt/registry/*.* /opt/registry/tls/* /opt/registry/htpasswd");

/** Asks for every cache's own image as fast as it goes, until stopped; resolves with what came. */
function pullInALoop() {
	let stopped = false;
	const wrong: string[] = [];
	/** By cache: how often it answered, when it last did, and the longest it did not, in milliseconds. */
	const seen = Object.fromEntries(caches.map(({ name }) => [name, { answers: 0, last: Date.now(), silence: 0 }]));
	const loops = caches.map(async ({ name, port, upstream }) => {
		const of = seen[name] as { answers: number; last: number; silence: number };
		const url = `http://127.0.0.1:${published(port)}/v2/${upstream.repository}/tags/list`;
		while (!stopped) {
			const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
			const text = await answer?.text().catch(() => "");
			const isRight =
				answer?.status === 200 &&
				answer.headers.get("x-registry-name") === name &&
				text?.includes(upstream.repository) === true;
			of.silence = Math.max(of.silence, Date.now() - of.last);
			if (isRight) Object.assign(of, { answers: of.answers + 1, last: Date.now() });
			// Silence and a gateway's error are a restart; an answer of another registry is not.
			else if (answer !== undefined && answer.status < 500) wrong.push(`${url}: ${answer.status} ${text}`);
			// Often enough to see every change, and not so often that it takes the estate its processor.
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	});
	return async () => {
		stopped = true;
		await Promise.all(loops);
		const all = Object.values(seen);
		return {
			wrong,
			right: Math.min(...all.map(({ answers }) => answers)),
			silence: Math.max(...all.map((one) => one.silence)),
		};
	};
}

/** The longest silence of a bounce that recreates every registry and restarts nginx, in milliseconds. */
async function normalBounce(): Promise<number> {
	await changed.edit("components/registryVm/registryConfig.ts", 'interval: "4h"', 'interval: "5h"');
	const stop = pullInALoop();
	const { exitCode, output } = await changed.up().finally(stop);
	expect(exitCode, output).toBe(0);
	await changed[Symbol.asyncDispose]();
	changed = await variant();
	await up();
	return (await stop()).silence;
}

describe("refused before anything is live", () => {
	it.each([
		[
			"a compose file that is no YAML",
			"components/registryVm/compose.ts",
			"return stringify(",
			'return "services: [" + stringify(',
			/docker compose config refuses/,
		],
		[
			"a compose file with an unknown key",
			"components/registryVm/compose.ts",
			'restart: "always",',
			'restrat: "always",',
			/docker compose config refuses[\s\S]*restrat/,
		],
		[
			"an nginx.conf with a syntax error",
			"components/registryVm/nginx.ts",
			"server_tokens off;",
			"server_tokens off",
			/nginx -t refuses[\s\S]*nginx\.conf/,
		],
		[
			"an nginx.conf with an unknown directive",
			"components/registryVm/nginx.ts",
			"server_tokens off;",
			"server_tokenz off;",
			/nginx -t refuses[\s\S]*server_tokenz/,
		],
		[
			"an image of the registries that does not exist",
			"config.ts",
			"...shown,",
			'...shown, images: { ...shown.images, registry: "registry:0.0.0-none" },',
			/a registry does not serve with what it would read: [\s\S]*registry:0\.0\.0-none/,
		],
		[
			"an nginx that serves nobody on one port",
			"components/registryVm/nginx.ts",
			"return registry.kind",
			'if (registry.name === "quay") return "";\n	return registry.kind',
			/nginx\.conf leads a port to the wrong registry: .*:5020\/v2\/ should answer 200 quay/,
		],
		[
			"a unit that starts what is not there",
			"components/registryVm/unit.ts",
			"ExecStart=/usr/bin/docker",
			"ExecStart=/usr/bin/dokker",
			/systemd refuses/,
		],
	])("%s", async (_, file, text, replacement, message) => {
		const before = [await files(), await containers()];
		await changed.edit(file, text, replacement);
		const { exitCode, output } = await changed.up();
		expect(output).toMatch(message);
		expect(output).toContain("was not changed");
		expect(exitCode).not.toBe(0);
		expect([await files(), await containers()]).toEqual(before);
	});

	it("configs with which registries don't serve, each for another reason: all are named at once", async () => {
		const before = [await files(), await containers()];
		const broken: [string, string, string][] = [
			["dockerhub", "filesystem: {", `[registry.name === "dockerhub" ? "filesistem" : "filesystem"]: {`],
			["ghcr", 'version: "0.1"', `version: registry.name === "ghcr" ? "9.9" : "0.1"`],
			["k8s", 'addr: ":5000",', `addr: registry.name === "k8s" ? ":5999" : ":5000",`],
			[
				"quay",
				"remoteurl: registry.upstream",
				`remoteurl: registry.name === "quay" ? "http://127.0.0.1:9" : registry.upstream`,
			],
		];
		for (const [, text, replacement] of broken)
			await changed.edit("components/registryVm/registryConfig.ts", text, replacement);
		const { exitCode, output } = await changed.up();
		expect(output).toContain("a registry does not serve with what it would read: ");
		expect(output).toMatch(/registry dockerhub: .*filesistem/);
		expect(output).toMatch(/registry ghcr: .*9\.9/);
		expect(output).toMatch(/registry k8s: [\s\S]*?listening on \[::\]:5999/);
		expect(output).toMatch(/registry quay: .*connection refused/);
		expect(output).not.toMatch(/registry (kyverno|private): /);
		expect(output).toContain("was not changed");
		expect(exitCode).not.toBe(0);
		expect([await files(), await containers()]).toEqual(before);
	});

	it("all of them leave nothing to do", async () => {
		expect((await drift()).exitCode).toBe(0);
	});

	it("an nginx that would serve the wrong registry, and nobody ever sees it", async () => {
		const before = [await files(), await containers()];
		await changed.edit(
			"components/registryVm/nginx.ts",
			"nginx(all: Registry[]): string {",
			`nginx(declared: Registry[]): string {
	const all = declared.map((r) => (r.name === "quay" ? { ...r, address: declared[1]?.address ?? "" } : r));`,
		);
		const stop = pullInALoop();
		const { exitCode, output } = await changed.up().finally(stop);
		const { wrong, right, silence } = await stop();
		expect(silence).toBeLessThan(bounce);
		expect(output).toMatch(/:5020\/v2\/ should answer 200 quay, but answers 200 ghcr/);
		expect(exitCode).not.toBe(0);
		expect(right).toBeGreaterThan(0);
		expect(wrong).toEqual([]);
		expect([await files(), await containers()]).toEqual(before);
	});

	it("a certificate of another name, before the host is reached", async () => {
		const before = [await files(), await containers()];
		const make =
			"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -keyout /dev/null 2>/dev/null";
		const { stdout } = await run("sh", ["-c", make]);
		await changed.configure((config) => Object.assign(config, { "homelab-registry:tlsCertificate": stdout }));
		const { exitCode, output } = await changed.up();
		await changed.reset();
		expect(output).toContain("tlsCertificate is not for registry.viktorbarzin.me");
		expect(exitCode).not.toBe(0);
		expect([await files(), await containers()]).toEqual(before);
	});

	it("a certificate that is not the key's, before the host is reached", async () => {
		const before = [await files(), await containers()];
		const { stdout } = await run("sh", [
			"-c",
			"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -addext subjectAltName=DNS:registry.viktorbarzin.me -keyout /dev/null -days 90 2>/dev/null",
		]);
		await changed.configure((config) => Object.assign(config, { "homelab-registry:tlsCertificate": stdout }));
		const { exitCode, output } = await changed.up();
		await changed.reset();
		expect(output).toContain("tlsPrivateKey is not the key of tlsCertificate");
		expect(output).not.toContain("nginx -t refuses");
		expect(exitCode).not.toBe(0);
		expect([await files(), await containers()]).toEqual(before);
	});
});

describe("put back when only running it can tell", () => {
	it.each([
		[
			"an image that does not exist",
			(v: Variant) =>
				v.configure((c) => Object.assign(c["homelab-registry:images"] as object, { ui: "registry-ui:0.0.0-none" })),
			/compose failed/,
		],
		[
			"containers that never become healthy",
			async (v: Variant) => {
				await v.edit("components/registryVm/compose.ts", "http://127.0.0.1:5000/v2/", "http://127.0.0.1:5999/v2/");
				await v.edit("components/registryVm/compose.ts", 'interval: "15s"', 'interval: "2s"'); // Docker gives up sooner.
			},
			/compose failed/,
		],
		[
			"a port that is not published",
			(v: Variant) =>
				v.edit(
					"components/registryVm/compose.ts",
					"[...all.map(",
					'[...all.filter(({ name }) => name !== "quay").map(',
				),
			/verify failed/,
		],
	])("%s", async (_, change, message) => {
		const before = await files();
		await change(changed);
		const stop = pullInALoop();
		const { exitCode, output } = await changed.up().finally(stop);
		const { wrong, right, silence } = await stop();
		expect(output).toMatch(message);
		expect(output).toContain("put back: ");
		expect(output).toContain("every port answers as it should");
		expect(exitCode).not.toBe(0);
		expect(right).toBeGreaterThan(0);
		expect(wrong).toEqual([]);
		// What nobody could know is asked for ten seconds, and Docker asks a new nginx only after five whether it is well;
		// nothing else is slower than a bounce.
		expect(silence).toBeLessThan(2 * bounce + 22_000);
		expect(await files()).toBe(before);
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
		// Whoever corrects the config has a plain update before them.
		await up();
	});
});

describe("npm run rollback", () => {
	const rollback = (...args: string[]) => run("npm", ["run", "--silent", "rollback", "--", ...args]);

	it("lists the generations with their time and files, and goes back before one", async () => {
		const before = await files();
		await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # generation");
		expect((await changed.up()).exitCode).toBe(0);
		const { stdout } = await rollback("list");
		const [generation, , first] = (stdout.split("\n")[0] ?? "").split(/\s{2,}/) as [string, string, string];
		expect(first).toContain("/opt/registry/nginx.conf");
		const { exitCode, output } = await rollback("to-before", generation);
		expect(output).toContain("put back: /opt/registry/nginx.conf");
		expect(exitCode).toBe(0);
		expect(await files()).toBe(before);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).not.toContain("# generation");
		await up();
		expect((await drift()).exitCode).toBe(0);
	});

	it("refuses a generation that is not there", async () => {
		const { exitCode, output } = await rollback("to-before", "20200101T000000.000Z");
		expect(output).toContain("there is no generation 20200101T000000.000Z");
		expect(exitCode).not.toBe(0);
	});
});
