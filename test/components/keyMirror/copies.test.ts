/** What is known of a key's copies where Vault can't say. */
import { expect, it } from "vitest";
import { lookAtCopies } from "../../../components/keyMirror/copies.ts";
import { serveVault } from "../../httpServer.ts";

/** Nobody listens at that port, so that it is not proved either that a host lets the key in. */
const connection = { host: "127.0.0.1", port: 1, user: "root", privateKey: "none", hostKey: "ssh-ed25519 AAAA" };
const key = { label: "a-key", vault: "a/key" };

const saying = (status: number, body: string) => serveVault((_, response) => response.writeHead(status).end(body));
const look = () => lookAtCopies([{ connection, key } as never], "secret");

it("a sealed Vault, and one that is down, leave it open, and say why", async () => {
	const { close } = await saying(503, '{"errors":["Vault is sealed"]}');
	expect(await look()).toMatchObject([{ held: undefined, unavailable: expect.stringContaining("unseal it") }]);
	await close();
	expect(await look()).toMatchObject([{ held: undefined, unavailable: expect.stringContaining("was not reached") }]);
});

it("a Vault that refuses is an error, as whoever asks can do something about it", async () => {
	await saying(403, '{"errors":["permission denied"]}');
	await expect(look()).rejects.toThrow("log in again (vault login)");
});
