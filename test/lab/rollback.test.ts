/** What is broken is refused before it is live, or put back when only running it can tell. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { caches, published } from "../../lab/estate.ts";
import { containers, drift, onVm, run, up, type Variant, variant } from "./lab.ts";

let changed: Variant;
beforeAll(async () => {
	await up();
	changed = await variant();
});
afterEach(async () => {
	await changed[Symbol.asyncDispose]();
	changed = await variant();
});
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await up();
});

const files = () => onVm("sha256sum /opt/registry/*.* /opt/registry/tls/* /opt/registry/htpasswd");

/** Asks for every cache's own image as fast as it goes, until stopped; resolves with the answers that were wrong. */
function pullInALoop() {
	let stopped = false;
	const wrong: string[] = [];
	let right = 0;
	const loop = (async () => {
		while (!stopped) {
			for (const { name, port, upstream } of caches) {
				const url = `http://127.0.0.1:${published(port)}/v2/${upstream.repository}/tags/list`;
				const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
				const text = await answer?.text().catch(() => "");
				if (
					answer?.status === 200 &&
					answer.headers.get("x-registry-name") === name &&
					text?.includes(upstream.repository)
				)
					right++;
				// Silence and a gateway's error are a restart; an answer of another registry is not.
				else if (answer !== undefined && answer.status < 500) wrong.push(`${url}: ${answer.status} ${text}`);
			}
		}
	})();
	return async () => {
		stopped = true;
		await loop;
		return { wrong, right };
	};
}

describe("refused before anything is live", () => {
	it.each([
		[
			"a compose file that is no YAML",
			"render/compose.ts",
			"return stringify(",
			'return "services: [" + stringify(',
			/docker compose config refuses/,
		],
		[
			"a compose file with an unknown key",
			"render/compose.ts",
			'restart: "always",',
			'restrat: "always",',
			/docker compose config refuses[\s\S]*restrat/,
		],
		[
			"an nginx.conf with a syntax error",
			"render/nginx.ts",
			"server_tokens off;",
			"server_tokens off",
			/nginx -t refuses[\s\S]*nginx\.conf/,
		],
		[
			"an nginx.conf with an unknown directive",
			"render/nginx.ts",
			"server_tokens off;",
			"server_tokenz off;",
			/nginx -t refuses[\s\S]*server_tokenz/,
		],
		[
			"a registry config with a storage driver that does not exist",
			"render/registryConfig.ts",
			"filesystem: {",
			"filesistem: {",
			/the registry refuses config-\w+\.yml/,
		],
		[
			"a registry config of another version",
			"render/registryConfig.ts",
			'version: "0.1"',
			'version: "9.9"',
			/the registry refuses config-\w+\.yml/,
		],
		[
			"a unit that starts what is not there",
			"render/unit.ts",
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
		expect((await drift()).exitCode).toBe(0);
	});

	it("an nginx that would serve the wrong registry, and nobody ever sees it", async () => {
		const before = [await files(), await containers()];
		await changed.edit(
			"render/nginx.ts",
			"nginx(all: Registry[]): string {",
			`nginx(declared: Registry[]): string {
	const all = declared.map((r) => (r.name === "quay" ? { ...r, address: declared[1]?.address ?? "" } : r));`,
		);
		const stop = pullInALoop();
		const { exitCode, output } = await changed.up().finally(stop);
		const { wrong, right } = await stop();
		expect(output).toContain("port 5020 should lead to registry quay, but leads to ghcr");
		expect(exitCode).not.toBe(0);
		expect(right).toBeGreaterThan(0);
		expect(wrong).toEqual([]);
		expect([await files(), await containers()]).toEqual(before);
	});

	it("a certificate that is not the key's", async () => {
		const before = [await files(), await containers()];
		const { stdout } = await run("sh", [
			"-c",
			"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -keyout /dev/null -days 9 2>/dev/null",
		]);
		await changed.configure((config) => Object.assign(config, { "homelab-registry:tlsCertificate": stdout }));
		const { exitCode, output } = await changed.up();
		expect(output).toMatch(/nginx -t refuses nginx\.conf or its certificate[\s\S]*key values mismatch/);
		expect(exitCode).not.toBe(0);
		expect([await files(), await containers()]).toEqual(before);
	});
});

describe("put back when only running it can tell", () => {
	it.each([
		[
			"an image that does not exist",
			(v: Variant) =>
				v.configure((c) => Object.assign(c["homelab-registry:images"] as object, { registry: "registry:0.0.0-none" })),
			/compose failed/,
		],
		[
			"a registry that never becomes healthy",
			(v: Variant) =>
				v.edit("render/registryConfig.ts", 'addr: ":5000",', 'addr: registry.name === "k8s" ? ":5999" : ":5000",'),
			/compose failed/,
		],
		[
			"an nginx that serves nobody on one port",
			(v: Variant) =>
				v.edit(
					"render/nginx.ts",
					"return registry.kind",
					'if (registry.name === "quay") return "";\n	return registry.kind',
				),
			/verify failed/,
		],
	])("%s", async (_, change, message) => {
		const before = await files();
		await change(changed);
		const stop = pullInALoop();
		const { exitCode, output } = await changed.up().finally(stop);
		const { wrong, right } = await stop();
		expect(output).toMatch(message);
		expect(output).toContain("put back: ");
		expect(output).toContain("every port answers as it should");
		expect(exitCode).not.toBe(0);
		expect(right).toBeGreaterThan(0);
		expect(wrong).toEqual([]);
		expect(await files()).toBe(before);
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
		// Whoever corrects the config has a plain update before them.
		await up();
		expect((await drift()).exitCode).toBe(0);
	});
});

describe("npm run rollback", () => {
	const rollback = (...args: string[]) => run("npm", ["run", "--silent", "rollback", "--", ...args]);

	it("lists the generations with their time and files, and goes back before one", async () => {
		const before = await files();
		await changed.edit("render/nginx.ts", "server_tokens off;", "server_tokens off; # generation");
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
