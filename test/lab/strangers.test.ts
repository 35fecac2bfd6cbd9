/** What somebody on the network gets who has no password: every published port of the VM, asked from outside. */
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { caches, privateRegistry, published, registryVm } from "../../lab/estate.ts";
import { containers, env, onVm } from "./lab.ts";

/** The status of the answer, or curl's error. */
async function ask(method: string, url: string, ...more: string[]): Promise<string> {
	const args = ["--silent", "--show-error", "--insecure", "--max-time", "10", "--path-as-is", "--output", "/dev/null"];
	const { stdout, stderr } = await execa(
		"curl",
		[...args, "--write-out", "%{http_code}", "--request", method, ...more, url],
		{
			reject: false,
		},
	);
	return stdout === "000" ? stderr : stdout;
}

/** Where programs show their insides, and where files would be, were there a listing. */
const insides = [
	...[
		"/debug/pprof/",
		"/debug/pprof/heap",
		"/debug/pprof/cmdline",
		"/debug/vars",
		"/debug/health",
		"/metrics",
		"/vm.prom",
	],
	...["/opt/", "/etc/passwd", "/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/tls/privkey.pem", "/htpasswd"],
];
const digest = `sha256:${"0".repeat(64)}`;
const writes: [method: string, path: string][] = [
	["POST", "/v2/strange/blobs/uploads/"],
	["PUT", `/v2/strange/manifests/latest`],
	["PATCH", "/v2/strange/blobs/uploads/x"],
	["DELETE", `/v2/strange/manifests/${digest}`],
	["DELETE", `/v2/strange/blobs/${digest}`],
];

it("the VM publishes these ports and no others", async () => {
	const { stdout } = await execa("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", "ss -Hltn '! src 127.0.0.0/8'"]);
	const ports = [...stdout.matchAll(/:(\d+)\s+\S+:\*/g)].map(([, port]) => Number(port));
	const declared = [...caches.flatMap(({ port, metricsPort }) => [port, metricsPort ?? port]), privateRegistry.port];
	const own = [...new Set(ports)].filter((port) => ![22, 5355].includes(port)); // sshd's, and resolved's LLMNR.
	expect(own.sort()).toEqual([...new Set([...declared, registryVm.uiPort])].sort());
	expect(Object.keys(await containers())).toContain("registry-nginx");
});

describe.each(caches)("the cache $name", ({ name, port, upstream }) => {
	const url = `http://127.0.0.1:${published(port)}`;

	it("has an empty page in front", async () => {
		expect((await execa("curl", ["--silent", `${url}/`])).stdout).toBe("");
	});

	it("can be pulled from", async () => {
		expect(await ask("GET", `${url}/v2/${upstream.repository}/manifests/1`)).toBe("200");
	});

	it("shows nothing of its insides, and lists no files", async () => {
		for (const path of insides) expect(await ask("GET", url + path), path).toMatch(/^(404|400|301)$/);
	});

	it("takes no writes and no deletes, under whatever name it is asked", async () => {
		for (const [method, path] of writes)
			for (const host of ["localhost", "registry-private", privateRegistry.hostname])
				expect(await ask(method, url + path, "--header", `Host: ${host}`), `${method} ${path}`).toMatch(
					/^(404|405|400)$/,
				);
	});

	it("is that cache under every name", async () => {
		const names = ["registry-private:5000", privateRegistry.hostname, "x", ""];
		for (const host of names) {
			const { stdout } = await execa("curl", ["--silent", "--head", "--header", `Host: ${host}`, `${url}/v2/`]);
			if (host !== "") expect(stdout).toMatch(new RegExp(`^X-Registry-Name: ${name}\\r?$`, "m"));
		}
	});
});

describe("the metrics' port", () => {
	const port = caches.find(({ metricsPort }) => metricsPort !== undefined)?.metricsPort as number;
	const url = `http://127.0.0.1:${published(port)}`;

	it("answers /metrics, and that only to be read", async () => {
		expect(await ask("GET", `${url}/metrics`)).toBe("200");
		expect(await ask("POST", `${url}/metrics`)).toBe("403");
	});

	it("shows nothing else: no heap, no command line, no variables", async () => {
		for (const path of [
			...insides.filter((one) => one !== "/metrics"),
			"/metrics/../debug/vars",
			"/metrics/",
			"//debug/vars",
		])
			expect(await ask("GET", url + path), path).toMatch(/^(404|400)$/);
		// It is there to be shown: who is on the compose network itself gets it.
		const address = await onVm(
			"docker inspect --format '{{.NetworkSettings.Networks.registry.IPAddress}}' registry-dockerhub",
		);
		expect(await onVm(`curl -s -o /dev/null -w '%{http_code}' http://${address}:5001/debug/vars`)).toBe("200");
	});
});

describe("the private registry", () => {
	const url = `https://localhost:${published(privateRegistry.port)}`;

	it("gives nothing without a password, nor with a wrong one, under whatever name", async () => {
		const reads = [
			"/v2/",
			"/v2/_catalog",
			"/v2/canary/tags/list",
			"/v2/canary/manifests/latest",
			`/v2/canary/blobs/${digest}`,
		];
		for (const path of reads)
			for (const more of [[], ["--user", "pusher:wrong"], ["--header", "Host: registry-dockerhub"]])
				expect(await ask("GET", url + path, ...more), `${path} ${more}`).toBe("401");
	});

	it("takes no writes and no deletes without one", async () => {
		for (const [method, path] of writes) expect(await ask(method, url + path), `${method} ${path}`).toBe("401");
	});

	it("shows nothing of its insides, and lists no files", async () => {
		for (const path of insides) expect(await ask("GET", url + path), path).toMatch(/^(404|400|301)$/);
	});

	it("does not speak without TLS, nor with an old one", async () => {
		expect(await ask("GET", url.replace("https", "http"))).toBe("400");
		expect(await ask("GET", `${url}/v2/`, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")).toMatch(/^curl/);
	});
});
