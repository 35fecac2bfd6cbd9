/** The certificate and its key, read from files or from Vault at each run. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readTlsPair, tlsSource } from "../../../components/registryVm/tlsPair.ts";
import { serveVault } from "../../httpServer.ts";

const CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "tls-pair-test-"));
});
afterEach(() => {
	rmSync(folder, { recursive: true });
});

const read = (source: object) => readTlsPair(tlsSource.parse(source), "secret", folder);

async function vaultHas(status: number, data: Record<string, unknown> | null): Promise<string[]> {
	const asked: string[] = [];
	await serveVault(({ url = "" }, response) => {
		asked.push(url);
		response.writeHead(status).end(JSON.stringify({ data: { data, metadata: { version: 4 } } }));
	});
	return asked;
}

describe("from files", () => {
	it("is what they have, byte for byte, by a path from the project's folder or from the root", async () => {
		writeFileSync(join(folder, "fullchain.pem"), CERTIFICATE);
		writeFileSync(join(folder, "privkey.pem"), KEY);
		const pair = { tlsCertificate: CERTIFICATE, tlsPrivateKey: KEY };
		expect(await read({ files: { certificate: "fullchain.pem", privateKey: "./privkey.pem" } })).toEqual(pair);
		const [certificate, privateKey] = [join(folder, "fullchain.pem"), join(folder, "privkey.pem")];
		expect(await read({ files: { certificate, privateKey } })).toEqual(pair);
	});

	it("a file that is not there, that is a folder, or that is something else is named", async () => {
		writeFileSync(join(folder, "key.der"), Buffer.from([0x30, 0x82]));
		const files = (privateKey: string) => read({ files: { certificate: "key.der", privateKey } });
		await expect(read({ files: { certificate: "gone.pem", privateKey: "gone.key" } })).rejects.toThrow(
			/^tlsFrom\.files\.\w+ can't be read: ENOENT.*gone/,
		);
		await expect(files(".")).rejects.toThrow(/EISDIR|is no PEM text/);
		await expect(files("key.der")).rejects.toThrow("key.der is no PEM text: name the file that has it");
	});
});

describe("from Vault", () => {
	it("is what the entry's keys have, with the last newline that a pipe took from it", async () => {
		const asked = await vaultHas(200, { certificate: CERTIFICATE, private_key: KEY.trimEnd(), note: "mine" });
		expect(await read({ vault: { path: "tls/registry" } })).toEqual({
			tlsCertificate: CERTIFICATE,
			tlsPrivateKey: KEY,
		});
		expect(asked).toEqual(["/v1/secret/data/tls/registry"]);
	});

	it("other names of the keys are taken", async () => {
		await vaultHas(200, { "tls.crt": CERTIFICATE, "tls.key": KEY });
		const found = await read({ vault: { path: "tls", certificate: "tls.crt", privateKey: "tls.key" } });
		expect(found.tlsPrivateKey).toBe(KEY);
	});

	it("an entry that is deleted, and one without the key, say so and show no value", async () => {
		await vaultHas(404, null);
		await expect(read({ vault: { path: "tls" } })).rejects.toThrow("Vault has nothing at secret/tls, or it is deleted");
		await vaultHas(200, { cert: CERTIFICATE, private_key: "dummy-value", port: 443 });
		await expect(read({ vault: { path: "tls" } })).rejects.toThrow(
			"secret/tls has no PEM text at certificate; its keys are: cert, private_key, port",
		);
	});
});

it("needs one source, and not two", () => {
	const files = { certificate: "a", privateKey: "b" };
	expect(tlsSource.safeParse({}).error?.issues[0]?.message).toBe("needs one of files and vault");
	expect(tlsSource.safeParse({ files, vault: { path: "tls" } }).success).toBe(false);
	expect(tlsSource.safeParse({ vault: { path: "/tls/" } }).error?.issues[0]?.message).toMatch(/without slashes/);
});
