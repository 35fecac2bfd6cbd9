/** The registry VM in use, seen by independent clients. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { caches, published } from "../../lab/estate.ts";
import { writeMultiArchLayout } from "./image.ts";
import { env, loggedIn, run } from "./lab.ts";

let folder: string;
let client: { env: Record<string, string> };
const image = `${env("LAB_REGISTRY")}/tests/multi-arch`;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "registry-test-"));
	client = await loggedIn(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const crane = async (...args: string[]) => {
	const { exitCode, output, stdout } = await run("crane", args, client);
	if (exitCode !== 0) throw new Error(`crane ${args.join(" ")}: ${output}`);
	return stdout.trim();
};

describe("the private registry", () => {
	it("takes a multi-arch index with an attestation, and gives back the same", async () => {
		const layout = join(folder, "layout");
		const digest = await writeMultiArchLayout(layout, `pushed at ${Date.now()}`);
		await crane("push", layout, `${image}:latest`);
		expect(await crane("digest", `${image}:latest`)).toBe(digest);
		await crane("validate", "--remote", `${image}:latest`);

		const pulled = join(folder, "pulled");
		await crane("pull", "--format", "oci", `${image}:latest`, pulled);
		const [sent, received] = await Promise.all(
			[layout, pulled].map(async (path) => JSON.parse(await readFile(join(path, "index.json"), "utf8")).manifests),
		);
		expect(received[0].digest).toBe(sent[0].digest);

		const { stdout } = await run("regctl", ["manifest", "get", "--format", "raw-body", `${image}:latest`], client);
		const platforms = JSON.parse(stdout).manifests.map(
			(m: { platform: { architecture: string } }) => m.platform.architecture,
		);
		expect(platforms).toEqual(["amd64", "arm64", "unknown"]);
	});

	it("answers 401 to whoever has no credentials, or wrong ones", async () => {
		const url = `https://${env("LAB_REGISTRY")}/v2/`;
		const status = async (...args: string[]) =>
			(
				await run("curl", [
					"-s",
					"-o",
					"/dev/null",
					"-w",
					"%{http_code}",
					"--cacert",
					env("LAB_REGISTRY_CA"),
					...args,
					url,
				])
			).stdout;
		expect(await status()).toBe("401");
		expect(await status("--user", `${env("LAB_REGISTRY_USER")}:wrong`)).toBe("401");
		expect(await status("--user", `${env("LAB_REGISTRY_USER")}:${env("LAB_REGISTRY_PASSWORD")}`)).toBe("200");
	});

	it("is trusted by nobody who does not know its CA", async () => {
		const { exitCode, output } = await run("crane", ["digest", `${image}:latest`], {
			env: { ...client.env, SSL_CERT_FILE: "/dev/null", SSL_CERT_DIR: "/nonexistent" },
		});
		expect(exitCode).not.toBe(0);
		expect(output).toMatch(/certificate|x509/);
	});
});

describe.each(caches)("the cache $name", ({ name, port, upstream }) => {
	const address = `127.0.0.1:${published(port)}`;

	it("serves what only its own upstream has", async () => {
		await crane("validate", "--remote", `${address}/${upstream.repository}:1`);
		const { stdout } = await run(
			"sh",
			["-c", `crane export ${address}/${upstream.repository}:1 - | tar -xO from`],
			client,
		);
		expect(stdout).toBe(name);
	});

	it("sends just the part of a layer that is asked for, cached or not", async () => {
		const { layers } = JSON.parse(await crane("manifest", `${address}/${upstream.repository}:1`));
		const url = `http://${address}/v2/${upstream.repository}/blobs/${layers[0].digest}`;
		for (const _ of ["first", "again"]) {
			const { stdout } = await run("curl", [
				"-s",
				"-o",
				"/dev/null",
				"-w",
				"%{http_code} %{size_download}",
				"-r",
				"5-9",
				url,
			]);
			expect(stdout).toBe("206 5");
		}
	});

	it("does not have what another's upstream has", async () => {
		const other = caches.find((cache) => cache.name !== name);
		const { exitCode, output } = await run("crane", ["manifest", `${address}/${other?.upstream.repository}:1`], client);
		expect(exitCode).not.toBe(0);
		expect(output).toMatch(/MANIFEST_UNKNOWN|NAME_UNKNOWN|404/);
	});

	it("takes no pushes", async () => {
		const { exitCode } = await run(
			"crane",
			["copy", `${address}/${upstream.repository}:1`, `${address}/tests/push:1`],
			client,
		);
		expect(exitCode).not.toBe(0);
	});
});
