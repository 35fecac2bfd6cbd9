/** `make lab-status` and `make lab-env`: what runs, and how to work with it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Agent, fetch } from "undici";
import { findEngine } from "./engine.ts";
import {
	caches,
	dns,
	kubernetes,
	monitoring,
	network,
	privateRegistry,
	proxmox,
	published,
	registryVm,
	vault,
	woodpecker,
} from "./estate.ts";
import { kubeconfigPath, readKeys, sshConfigPath } from "./keys.ts";
import { paths } from "./paths.ts";
import { Step, StepError } from "./run.ts";
import { environment } from "./stack.ts";

/** A line for each part: its name, its state, where it is. */
export async function status(): Promise<void> {
	const step = new Step("status");
	const engine = await findEngine(step);
	const state = async (container: string) =>
		(await engine?.ask(step, ["inspect", "--format", "{{.State.Status}}", container])) ?? "absent";
	// Before the lab's first start there is no CA, and nobody who would need it.
	const ca = await readFile(join(paths.keys, "ca.pem")).catch(() => undefined);
	const dispatcher = new Agent({ connect: ca ? { ca } : {} });
	const answers = (url: string) =>
		fetch(url, { dispatcher, signal: AbortSignal.timeout(3000) }).then(
			({ status }) => `answers ${status}`,
			() => "silent",
		);
	const engineState = engine === undefined ? "not running" : engine.ours ? "running (the lab's)" : "running (yours)";
	const [privateUrl, uiUrl] = [
		`https://localhost:${published(privateRegistry.port)}`,
		`http://127.0.0.1:${published(registryVm.uiPort)}`,
	];
	const rows: [part: string, state: string, where: string][] = [
		["docker engine", engineState, engine?.host ?? ""],
		["dns", await state(dns.container), `${dns.address} in network ${network.name}`],
	];
	for (const { name, upstream } of caches)
		rows.push([`upstream ${name}`, await state(upstream.container), upstream.url]);
	rows.push(["kubernetes", await state(kubernetes.container), `KUBECONFIG=${kubeconfigPath}`]);
	for (const [name, { container, port }] of Object.entries(monitoring))
		rows.push([name, await state(container), `http://127.0.0.1:${port}`]);
	rows.push(["vault", await state(vault.container), `https://127.0.0.1:${vault.port}`]);
	rows.push(["woodpecker (stand-in)", await state(woodpecker.container), `http://127.0.0.1:${woodpecker.port}`]);
	rows.push(["proxmox host", await state(proxmox.container), `ssh -F ${sshConfigPath} ${proxmox.hostname}`]);
	rows.push(["registry VM", await state(registryVm.container), `ssh -F ${sshConfigPath} registry`]);
	for (const { name, port } of caches) {
		const url = `http://127.0.0.1:${published(port)}`;
		rows.push([`cache ${name}`, await answers(`${url}/v2/`), url]);
	}
	rows.push(["private registry", await answers(`${privateUrl}/v2/`), privateUrl]);
	rows.push(["registry UI", await answers(uiUrl), uiUrl]);
	await dispatcher.close();
	const widths = [0, 1].map((i) => Math.max(...rows.map((row) => (row[i] as string).length)));
	for (const [part, how, where] of rows)
		console.log(`${part.padEnd(widths[0] as number)}  ${how.padEnd(widths[1] as number)}  ${where}`);
}

/** What a process needs in order to work with the lab that is up. Throws a StepError where none is. */
export async function labEnvironment(): Promise<Record<string, string>> {
	const engine = await findEngine(new Step("env"));
	if (engine === undefined) throw new StepError("the lab is not up; run make lab");
	return environment(engine, await readKeys());
}

/** Exports that a shell takes. */
export async function printEnvironment(): Promise<void> {
	for (const [name, value] of Object.entries(await labEnvironment())) {
		console.log(`export ${name}='${value.replaceAll("'", `'\\''`)}'`);
	}
}
