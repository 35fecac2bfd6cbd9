/** Reading an entry of Vault, where Vault does not answer as it should. */
import { describe, expect, it, vi } from "vitest";
import { loginByKubernetes, readEntry, writeEntry } from "../../components/vault.ts";
import { serveVault } from "../httpServer.ts";

const saying = (status: number, body: string) => serveVault((_, response) => response.writeHead(status).end(body));

describe("what can't be read is an error with what to do", () => {
	it.each([
		["sealed", 503, '{"errors":["Vault is sealed"]}', "Vault is sealed; Vault is sealed or not set up: unseal it"],
		["a standby", 307, "", "this is a standby: set VAULT_ADDR to the active one"],
		["a token that is over", 403, '{"errors":["permission denied"]}', "log in again (vault login)"],
		["a KV mount of version 1", 200, '{"data":{"private_key":"x"}}', "is not a KV mount of version 2"],
		["a mount that there is not", 404, '{"errors":["no handler for route"]}', "there is no mount there"],
		["something else", 200, "<html>", "something else than Vault answers there"],
		["something else that speaks JSON", 200, "null", "something else than Vault answers there"],
	])("%s", async (_, status, body, message) => {
		await saying(status, body);
		await expect(readEntry("secret", "a")).rejects.toThrow(message);
	});

	it("no address, nobody there", async () => {
		await expect(readEntry("secret", "a")).rejects.toThrow("VAULT_ADDR is not set");
		await (await saying(200, "")).close();
		await expect(readEntry("secret", "a")).rejects.toThrow(/was not reached: .*; is it up/);
	});

	it("a CA that can't be read", async () => {
		await saying(200, "{}");
		vi.stubEnv("VAULT_CACERT", "/nowhere/ca.pem");
		await expect(readEntry("secret", "a")).rejects.toThrow(/^VAULT_CACERT can't be read: ENOENT.*\/nowhere\/ca\.pem/);
	});

	it("no login, but where nobody could log in", async () => {
		vi.stubEnv("HOME", "/nowhere"); // That has no .vault-token.
		const sealed = await saying(503, '{"errors":["Vault is sealed"]}');
		vi.stubEnv("VAULT_TOKEN", undefined);
		await expect(readEntry("secret", "a")).rejects.toThrow("unseal it");
		await sealed.close();
		await expect(readEntry("secret", "a")).rejects.toThrow("was not reached");
		await saying(403, '{"errors":["permission denied"]}');
		vi.stubEnv("VAULT_TOKEN", undefined);
		await expect(readEntry("secret", "a")).rejects.toThrow("there is no login to Vault: run vault login");
	});

	it("one that takes the question and does not answer, after its deadline", async () => {
		const timeout = AbortSignal.timeout.bind(AbortSignal);
		const given = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => timeout(100));
		await serveVault(() => {});
		await expect(readEntry("secret", "a")).rejects.toThrow(/was not reached: .*(timeout|aborted).*; is it up/);
		expect(given).toHaveBeenCalledWith(30_000);
		given.mockRestore();
	});

	it("somebody else wrote it meanwhile", async () => {
		await saying(400, '{"errors":["check-and-set parameter did not match the current version"]}');
		await expect(writeEntry("secret", "a", {}, 3)).rejects.toThrow("somebody else wrote it meanwhile");
	});
});

describe("a login as a pod's service account", () => {
	it("gives a token", async () => {
		await saying(200, '{"auth":{"client_token":"s.made"}}');
		expect(await loginByKubernetes("ci", "package.json")).toBe("s.made");
	});

	it("outside of a pod, and with a role that there is not, says so", async () => {
		await saying(400, '{"errors":["invalid role name \\"ci\\""]}');
		await expect(loginByKubernetes("ci", "/nowhere")).rejects.toThrow("set VAULT_TOKEN, or run it in a pod");
		await expect(loginByKubernetes("ci", "package.json")).rejects.toThrow(
			'logging in with the role ci: 400 invalid role name "ci"',
		);
	});
});

describe("an entry", () => {
	it("that never was has version 0", async () => {
		await saying(404, '{"errors":[]}');
		expect(await readEntry("secret", "a")).toEqual({ version: 0, data: undefined });
	});

	it("that is deleted has a version, and no data", async () => {
		await saying(404, '{"data":{"data":null,"metadata":{"version":7,"deletion_time":"2026-04-19T00:00:00Z"}}}');
		expect(await readEntry("secret", "a")).toEqual({ version: 7, data: undefined });
	});
});
