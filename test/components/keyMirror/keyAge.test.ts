/** How old a login key is, from the versions that Vault has of its copy. */
import { expect, it } from "vitest";
import { keySince } from "../../../components/keyMirror/keyAge.ts";
import { newPrivateKey } from "../../../components/keyMirror/sshKey.ts";
import { serveVault } from "../../httpServer.ts";

const [key, other] = [newPrivateKey("a"), newPrivateKey("b")];
const day = (n: number) => `2026-01-${String(n).padStart(2, "0")}T00:00:00.123456789Z`;

/** A Vault with these versions, the first one is 1, each written a day later; null is a deleted one. */
async function vaultHas(versions: (string | null)[]): Promise<void> {
	await serveVault(({ url = "" }, response) => {
		const wanted = Number(/version=(\d+)/.exec(url)?.[1] ?? versions.length);
		const privateKey = versions[wanted - 1];
		if (privateKey === undefined) return void response.writeHead(404).end('{"errors":[]}');
		const data = privateKey === null ? null : { private_key: privateKey, public_key: "x" };
		const metadata = { version: wanted, created_time: day(wanted) };
		response.writeHead(data === null ? 404 : 200).end(JSON.stringify({ data: { data, metadata } }));
	});
}

it.each([
	["one version", [key], 1],
	["a rotation", [other, key], 2],
	["a version that only has another host key, or lost its last newline", [other, key, key.trimEnd()], 2],
	["the old key before, and before that the same one", [key, other, key, key], 3],
	["an older version that is deleted: it can't be told what was in it", [key, null, key], 3],
])("%s", async (_, versions, since) => {
	await vaultHas(versions);
	expect((await keySince("secret", "a"))?.toISOString().slice(0, 10)).toBe(day(since).slice(0, 10));
});

it.each([
	["no entry", []],
	["a deleted one", [key, null]],
	["one that is no key", ["mine"]],
])("%s has no age", async (_, versions) => {
	await vaultHas(versions);
	expect(await keySince("secret", "a")).toBeUndefined();
});
