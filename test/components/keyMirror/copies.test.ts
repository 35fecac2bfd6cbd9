/** What is known of a key's copies where Vault can't say. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { lookAtCopies } from "../../../components/keyMirror/copies.ts";

/** Nobody listens at that port, so that it is not proved either that a host lets the key in. */
const connection = { host: "127.0.0.1", port: 1, user: "root", privateKey: "none", hostKey: "ssh-ed25519 AAAA" };
const key = { label: "a-key", vault: "a/key" };

let server: Server;
let answer: [number, string];
beforeEach(async () => {
	server = createServer((_, response) => response.writeHead(answer[0]).end(answer[1])).listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	process.env["VAULT_ADDR"] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	process.env["VAULT_TOKEN"] = "token-of-a-test";
});
afterEach(() => {
	server.close();
	for (const name of ["VAULT_ADDR", "VAULT_TOKEN"]) delete process.env[name];
});

const look = () => lookAtCopies([{ connection, key } as never], "secret");

it("a sealed Vault, and one that is down, leave it open, and say why", async () => {
	answer = [503, '{"errors":["Vault is sealed"]}'];
	expect(await look()).toMatchObject([{ held: undefined, unavailable: expect.stringContaining("unseal it") }]);
	server.close();
	expect(await look()).toMatchObject([{ held: undefined, unavailable: expect.stringContaining("was not reached") }]);
});

it("a Vault that refuses is an error, as whoever asks can do something about it", async () => {
	answer = [403, '{"errors":["permission denied"]}'];
	await expect(look()).rejects.toThrow("log in again (vault login)");
});
