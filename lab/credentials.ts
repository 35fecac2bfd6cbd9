/** Where the lab's credentials are: Vault, and the stand-in for Woodpecker. */
import { join } from "node:path";
import { build } from "esbuild";
import { request } from "undici";
import type { Engine } from "./engine.ts";
import { network, vault, woodpecker } from "./estate.ts";
import type { Images } from "./images.ts";
import type { Keys } from "./keys.ts";
import { ensureContainer } from "./machines.ts";
import { checkout } from "./paths.ts";
import { type Step, until } from "./run.ts";

/** Vault with KV version 2 at secret/, unsealed, by TLS. Its memory is its own, and gone with a restart. */
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
	const dev = ["-dev", "-dev-no-store-token", "-dev-listen-address=127.0.0.1:8201"];
	// Not on its command line, which every process of this machine can read.
	const environment = ["--env", `VAULT_DEV_ROOT_TOKEN_ID=${token}`];
	await ensureContainer(
		engine,
		step,
		vault.container,
		[...place, ...environment, images.vault, "vault", "server", ...dev, "-config=/etc/vault/config.hcl"],
		[
			{ name: "etc/vault/config.hcl", mode: 0o600, content: config },
			{ name: "etc/vault/server.pem", mode: 0o600, content: certificate },
			{ name: "etc/vault/server.key", mode: 0o600, content: certificateKey },
		],
	);
	const ask = ["exec", "--env", "VAULT_ADDR=http://127.0.0.1:8201", vault.container, "vault", "status"];
	await until("Vault is unsealed", 60, async () => (await engine.ask(step, ask)) !== undefined);
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
	const env = { TOKEN: keys.woodpecker.token, REPOSITORY: String(woodpecker.repository), PORT: "8000" };
	const environment = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
	await ensureContainer(
		engine,
		step,
		woodpecker.container,
		[...place, "--publish", `127.0.0.1:${woodpecker.port}:8000`, ...environment, images.node, "node", "/server.cjs"],
		[{ name: "server.cjs", mode: 0o644, content }],
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
