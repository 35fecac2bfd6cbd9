/** `make lab-found`: the estate as it was run by hand, before this program: see docs/runbooks/take-over.md. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import bcrypt from "bcryptjs";
import { request } from "undici";
import { parseAllDocuments } from "yaml";
import { type TarEntry, tarball } from "../host/tarball.ts";
import { kubectl } from "./cluster.ts";
import type { Engine } from "./engine.ts";
import {
	caches,
	kubernetes,
	monitoring,
	privateRegistry,
	proxmox,
	published,
	registryVm,
	STACK,
	vault,
	woodpecker,
} from "./estate.ts";
import type { Images } from "./images.ts";
import type { Keys } from "./keys.ts";
import { FORMER, reloadRules } from "./monitoring.ts";
import { checkout, paths } from "./paths.ts";
import { type Step, StepError, until } from "./run.ts";

const FOLDER = "/opt/registry";

/** The images' names in the compose file that was found, by what the lab has for each. */
const IMAGES = { registry: "registry:2.8.3", nginx: "nginx:alpine", ui: "joxit/docker-registry-ui:latest" } as const;

const found = (name: string) => readFile(join(checkout, "lab/found", name), "utf8");

/** What of the lab remembers this program goes: machines, servers, the cluster's objects and the stack's state. */
export async function forgetProgram(engine: Engine, step: Step, env: Record<string, string>): Promise<void> {
	const servers = Object.values(monitoring).map(({ container }) => container);
	const gone = [registryVm.container, proxmox.container, vault.container, woodpecker.container, ...servers];
	await Promise.all(gone.map((container) => engine.ask(step, ["rm", "--force", "--volumes", container])));
	if (await engine.ask(step, ["container", "inspect", kubernetes.container])) {
		await engine.docker(step, ["start", kubernetes.container]);
		await until("the cluster's API has forgotten the program's objects", 120, async () => {
			const kinds = "cronjobs,jobs,secrets,configmaps";
			return engine.ask(step, kubectl("--namespace", "monitoring", "delete", kinds, "--all"));
		});
	}
	if ((await step.ask("pulumi", ["stack", "select", STACK], { cwd: checkout, env })) !== undefined)
		await step.run("pulumi", ["stack", "rm", "--yes", "--force", "--preserve-config", STACK], { cwd: checkout, env });
	await rm(join(checkout, `Pulumi.${STACK}.yaml`), { force: true });
}

/** The registry VM: compose project, crontab, unit, images. */
export async function layOutRegistryVm(engine: Engine, step: Step, images: Images, keys: Keys): Promise<void> {
	const onVm = (command: string) => engine.docker(step, ["exec", registryVm.container, "sh", "-ec", command]);
	for (const [part, name] of Object.entries(IMAGES)) {
		const source = images[part as keyof typeof IMAGES];
		await engine.docker(step, ["exec", registryVm.container, "docker", "tag", source, name]);
	}
	const file = (name: string, content: string, mode = 0o644): TarEntry => ({
		name: `${FOLDER.slice(1)}/${name}`,
		mode,
		content,
	});
	const cacheConfig = await found("config-cache.yml");
	const { user, password } = keys.registry;
	const files = [
		...["docker-compose.yml", "nginx.conf", "config-private.yml"].map(async (name) => file(name, await found(name))),
		...["cleanup-tags", "fix-broken-blobs"].map(async (name) => file(`${name}.sh`, await found(`${name}.py`), 0o755)),
		...caches.map(({ name, upstream }) => file(`config-${name}.yml`, cacheConfig.replace("UPSTREAM", upstream.url))),
		file("htpasswd", `${user}:${bcrypt.hashSync(password, 5)}\n`),
		file("tls/fullchain.pem", keys.certificate),
		file("tls/privkey.pem", keys.certificateKey, 0o600),
	];
	const elsewhere: TarEntry[] = [
		{
			name: "etc/systemd/system/docker-compose-registry.service",
			mode: 0o644,
			content: await found("docker-compose-registry.service"),
		},
	];
	const input = await tarball([...(await Promise.all(files)), ...elsewhere]);
	await engine.docker(step, ["cp", "-", `${registryVm.container}:/`], { input });
	await engine.docker(step, ["exec", "-i", registryVm.container, "crontab", "-"], { input: await found("crontab") });
	await onVm("systemctl daemon-reload && systemctl enable --now docker-compose-registry.service");
	await fill(step, keys, onVm);
}

/**
 * Images of several platforms. Of `infra-ci` the index is there and its children are gone, as the weekly collection of
 * what was found leaves them; `app` was pushed after it, and is whole.
 */
async function fill(step: Step, keys: Keys, onVm: (command: string) => Promise<string>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), "lab-found-"));
	const registry = `localhost:${published(privateRegistry.port)}`;
	const env = { DOCKER_CONFIG: folder, SSL_CERT_FILE: keys.caPath };
	const crane = (...args: string[]) => step.run("crane", args, { env });
	try {
		const auth = Buffer.from(`${keys.registry.user}:${keys.registry.password}`).toString("base64");
		await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [registry]: { auth } } }));
		const push = async (image: string) => {
			const platforms: string[] = [];
			for (const platform of ["amd64", "arm64"]) {
				const layer = join(folder, "layer.tar");
				await writeFile(layer, await tarball([{ name: "content", mode: 0o644, content: `${image} ${platform}\n` }]));
				const one = await crane("append", "--new_layer", layer, "--new_tag", `${registry}/${image}-${platform}`);
				platforms.push("--manifest", one);
			}
			await crane("index", "append", ...platforms, "--tag", `${registry}/${image}`);
			for (const platform of ["amd64", "arm64"])
				await onVm(
					`rm -r ${FOLDER}/data/private/docker/registry/v2/repositories/${image.replace(":", "/_manifests/tags/")}-${platform}`,
				);
		};
		await until("the private registry answers", 60, () => step.ask("crane", ["catalog", registry], { env }));
		await push("infra-ci:latest");
		await onVm("docker exec registry-private registry garbage-collect -m /etc/docker/registry/config.yml");
		await onVm("docker restart registry-private");
		await until("the private registry answers again", 60, () => step.ask("crane", ["catalog", registry], { env }));
		await push("app:1");
		// What nginx keeps: asked for twice, so that it does.
		for (const { port, upstream } of caches.filter(({ name }) => ["dockerhub", "ghcr"].includes(name)))
			for (const _ of [1, 2])
				await crane("validate", "--remote", `127.0.0.1:${published(port)}/${upstream.repository}:1`);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

/** Terraform's objects in the cluster, its alerts in a file of Prometheus, and the last push of the old probe. */
export async function layOutMonitoring(engine: Engine, step: Step): Promise<void> {
	const apply = kubectl("apply", "--server-side", "--field-manager", "Terraform", "--filename", "-");
	for (const document of parseAllDocuments(await found("cluster.yaml")))
		await engine.docker(step, apply, { input: JSON.stringify(document) });
	await reloadRules(engine, step, [{ name: FORMER, mode: 0o644, content: await found(FORMER) }]);
	const group = `http://127.0.0.1:${monitoring.pushgateway.port}/metrics/job/registry-integrity-probe`;
	const { statusCode, body } = await request(group, { method: "PUT", body: await found("metrics.txt") });
	const said = await body.text();
	if (statusCode > 299) throw new StepError(`the Pushgateway refuses the old probe's metrics: ${said}`);
}

/** The secret of the pipeline that shipped the files until now. */
export async function layOutPipelines(keys: Keys): Promise<void> {
	const url = `http://127.0.0.1:${woodpecker.port}/api/repos/${woodpecker.repository}/secrets`;
	const secret = { name: "registry_ssh_key", value: keys.login.private, events: ["push", "manual"], images: [] };
	const headers = { authorization: `Bearer ${keys.woodpecker.token}`, "content-type": "application/json" };
	const { statusCode, body } = await request(url, { method: "POST", headers, body: JSON.stringify(secret) });
	const said = await body.text();
	if (statusCode > 299) throw new StepError(`Woodpecker refuses the old pipeline's secret: ${said}`);
}

/** What to look at. */
export const hint = `
The estate is as it was found: nothing of it is this program's. Its Pulumi state, in ${paths.state}, is empty.

  eval "$(make -s lab-env)"; pulumi preview --stack ${STACK}     what the program finds there, and what becomes of it
  make lab                                                the take-over
`;
