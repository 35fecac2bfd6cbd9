import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { credentialsFor } from "../../oci/credentials.ts";

const HOST = "registry.example.test:5050";
const auth = (text: string) => Buffer.from(text).toString("base64");

/** An environment with that config.json, and a credential helper `docker-credential-test` that answers so. */
function environment(config: object | string | undefined, helper = "exit 3"): NodeJS.ProcessEnv {
	const folder = mkdtempSync(join(tmpdir(), "credentials-test-"));
	onTestFinished(() => rmSync(folder, { recursive: true }));
	const text = typeof config === "string" ? config : JSON.stringify(config);
	if (config !== undefined) writeFileSync(join(folder, "config.json"), text);
	writeFileSync(join(folder, "docker-credential-test"), `#!/bin/sh\n${helper}\n`);
	chmodSync(join(folder, "docker-credential-test"), 0o755);
	const path = process.env["PATH"];
	process.env["PATH"] = `${folder}:${path}`;
	onTestFinished(() => {
		process.env["PATH"] = path;
	});
	return { DOCKER_CONFIG: folder };
}

it.each([
	["nothing, where there is no config", undefined, undefined],
	["nothing, where another registry has some", { auths: { other: { auth: auth("a:b") } } }, undefined],
	["nothing, where the entry is empty, as helpers leave it", { auths: { [HOST]: {} } }, undefined],
	[
		"what config.json has",
		{ auths: { [HOST]: { auth: auth("me:pass:word") } } },
		{ user: "me", password: "pass:word" },
	],
	[
		"what it has under a URL",
		{ auths: { [`https://${HOST}`]: { auth: auth("me:x") } } },
		{ user: "me", password: "x" },
	],
])("finds %s", async (_, config, expected) => {
	expect(await credentialsFor(HOST, environment(config))).toEqual(expected);
});

it("takes the environment first", async () => {
	const env = environment({ auths: { [HOST]: { auth: auth("me:x") } } });
	const found = await credentialsFor(HOST, { ...env, REGISTRY_USER: "you", REGISTRY_PASSWORD: "y" });
	expect(found).toEqual({ user: "you", password: "y" });
});

it.each([
	["of the registry", { credHelpers: { [HOST]: "test" } }],
	["of all registries", { credsStore: "test" }],
])("asks the credential helper %s, which gets the host and nothing else", async (_, config) => {
	const helper = `[ "$1" = get ] && printf '{"ServerURL":"x","Username":"%s","Secret":"it'"'"'s"}' "$(cat)"`;
	expect(await credentialsFor(HOST, environment(config, helper))).toEqual({ user: HOST, password: "it's" });
});

it("goes on to config.json where the helper knows nothing of the host", async () => {
	const config = { credsStore: "test", auths: { [HOST]: { auth: auth("me:x") } } };
	const helper = "echo 'credentials not found in native keychain'; exit 1";
	expect(await credentialsFor(HOST, environment(config, helper))).toEqual({ user: "me", password: "x" });
});

it.each([
	[
		"a helper that is not there",
		{ credsStore: "nowhere" },
		"exit 0",
		/credential helper docker-credential-nowhere, which is not there/,
	],
	[
		"a helper that fails",
		{ credsStore: "test" },
		"echo locked >&2; exit 1",
		/docker-credential-test gives nothing for .*: locked/,
	],
	[
		"a helper that answers nonsense",
		{ credsStore: "test" },
		"echo hello",
		/answers for .* with something that is no user and secret/,
	],
	["a config that is no JSON", "{", "exit 0", /config\.json is not a JSON object/],
	[
		"an entry without a colon",
		{ auths: { [HOST]: { auth: auth("me") } } },
		"exit 0",
		/is no user and password; log in again/,
	],
])("says what is wrong with %s", async (_, config, helper, message) => {
	await expect(credentialsFor(HOST, environment(config, helper))).rejects.toThrow(message);
});

it("does not go on with half of what the environment should have", async () => {
	await expect(credentialsFor(HOST, { REGISTRY_USER: "me" })).rejects.toThrow(/are needed together/);
});
