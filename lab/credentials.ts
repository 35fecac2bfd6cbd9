/** Where the lab's credentials are: Vault, and the stand-in for Woodpecker. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { request } from "undici";
import type { Engine } from "./engine.ts";
import { kubernetes, network, vault, woodpecker } from "./estate.ts";
import type { Images } from "./images.ts";
import type { Keys } from "./keys.ts";
import { ensureContainer } from "./machines.ts";
import { checkout } from "./paths.ts";
import { type Step, until } from "./run.ts";

/** What the estate's CI may do in Vault, besides keeping the copies of the keys. */
const CI_POLICY = `path "secret/data/*" { capabilities = ["read", "list"] }
path "secret/metadata/*" { capabilities = ["list"] }
`;

/**
 * Vault with KV version 2 at secret/, unsealed, by TLS. Its memory is its own, and gone with a restart. As the estate's
 * CI does, a pod of the service account `default` in the namespace `woodpecker` logs in with the role `ci`.
 */
export async function startVault(engine: Engine, step: Step, images: Images, keys: Keys): Promise<void> {
	const { certificate, certificateKey, token } = keys.vault;
	const config = `disable_mlock = true
listener "tcp" {
  address = "0.0.0.0:8200"
  tls_cert_file = "/etc/vault/server.pem"
  tls_key_file = "/etc/vault/server.key"
}
`;
	const place = ["--network", network.name, "--ip", vault.address, "--publish", `127.0.0.1:${vault.port}:8200`];
	const dev = ["-dev", "-dev-no-store-token", "-dev-listen-address=127.0.0.1:8201", "-dev-plugin-dir=/plugins"];
	await ensureContainer(
		engine,
		step,
		vault.container,
		// Where Vault and its plugin meet.
		["--tmpfs", "/tmp", ...place, images.vault, "vault", "server", ...dev, "-config=/etc/vault/config.hcl"],
		[
			{ name: "etc/vault/config.hcl", mode: 0o600, content: config },
			{ name: "etc/vault/server.pem", mode: 0o600, content: certificate },
			{ name: "etc/vault/server.key", mode: 0o600, content: certificateKey },
			{ name: "etc/vault/kubernetes-ca.pem", mode: 0o644, content: await readFile(keys.caPath, "utf8") },
			{ name: "etc/vault/ci.hcl", mode: 0o644, content: CI_POLICY },
		],
		{ VAULT_DEV_ROOT_TOKEN_ID: token },
	);
	const cli = (...args: string[]) => [
		...["exec", "--env", "VAULT_ADDR=http://127.0.0.1:8201", "--env", "VAULT_TOKEN", vault.container, "vault"],
		...args,
	];
	const isUnsealed = async () => (await engine.ask(step, cli("status"))) !== undefined;
	// Somebody may have sealed it; started anew, it is not.
	const answers = until("Vault is unsealed", 20, isUnsealed);
	await answers.catch(() => engine.docker(step, ["restart", "--time", "5", vault.container]));
	await until("Vault is unsealed", 60, isUnsealed);
	const run = (...args: string[]) => engine.docker(step, cli(...args), { env: { VAULT_TOKEN: token } });
	if ((await run("auth", "list", "-format=json")).includes('"kubernetes/"')) return;
	await run("policy", "write", "ci", "/etc/vault/ci.hcl");
	await run("auth", "enable", "kubernetes");
	const host = `kubernetes_host=https://${kubernetes.address}:6443`;
	// It asks the cluster with the token of whoever logs in.
	const ca = ["kubernetes_ca_cert=@/etc/vault/kubernetes-ca.pem", "disable_local_ca_jwt=true"];
	await run("write", "auth/kubernetes/config", host, ...ca);
	const bound = ["bound_service_account_names=default", "bound_service_account_namespaces=woodpecker"];
	const policies = ["ci", "key-docker-registry-writer", "key-pve-writer"].join(",");
	await run("write", "auth/kubernetes/role/ci", ...bound, `token_policies=${policies}`, "token_ttl=168h");
}

/** The stand-in for Woodpecker's API. */
export async function startWoodpecker(engine: Engine, step: Step, images: Images, keys: Keys): Promise<void> {
	const { outputFiles } = await build({
		entryPoints: [join(checkout, "lab/woodpecker/server.ts")],
		bundle: true,
		write: false,
		platform: "node",
		format: "cjs",
		target: "node24",
	});
	const content = outputFiles[0]?.text ?? "";
	const place = ["--network", network.name, "--ip", woodpecker.address];
	const env = { REPOSITORY: String(woodpecker.repository), PORT: "8000" };
	const environment = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
	await ensureContainer(
		engine,
		step,
		woodpecker.container,
		[...place, "--publish", `127.0.0.1:${woodpecker.port}:8000`, ...environment, images.node, "node", "/server.cjs"],
		[{ name: "server.cjs", mode: 0o644, content }],
		{ TOKEN: keys.woodpecker.token },
	);
	await until("the stand-in for Woodpecker answers", 30, () =>
		request(`http://127.0.0.1:${woodpecker.port}/healthz`).then(
			async ({ statusCode, body }) => {
				await body.dump();
				return statusCode === 204;
			},
			() => false,
		),
	);
}
