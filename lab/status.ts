/** `make lab-status` and `make lab-env`: what runs, and how to work with it. */
import { join } from "node:path";
import { findEngine } from "./engine.ts";
import { caches, dns, network, privateRegistry, published, registryVm } from "./estate.ts";
import { readKeys, sshConfigPath } from "./keys.ts";
import { paths } from "./paths.ts";
import { Step, StepError } from "./run.ts";
import { environment } from "./stack.ts";

/** A line for each part: its name, its state, where it is. */
export async function status(): Promise<void> {
	const step = new Step("status");
	const engine = await findEngine(step);
	const rows: [string, string, string][] = [
		[
			"docker engine",
			engine ? (engine.ours ? "running (the lab's)" : "running (yours)") : "not running",
			engine?.host ?? "",
		],
	];
	const state = async (container: string) =>
		(await engine?.ask(step, ["inspect", "--format", "{{.State.Status}}", container])) ?? "absent";
	rows.push(["dns", await state(dns.container), `${dns.address} in network ${network.name}`]);
	for (const { name, upstream } of caches)
		rows.push([`upstream ${name}`, await state(upstream.container), upstream.url]);
	rows.push(["registry VM", await state(registryVm.container), `ssh -F ${sshConfigPath} registry`]);
	const answers = async (url: string) =>
		fetch(url, { signal: AbortSignal.timeout(3000) }).then(
			({ status }) => `answers ${status}`,
			() => "silent",
		);
	for (const { name, port } of caches)
		rows.push([
			`cache ${name}`,
			await answers(`http://127.0.0.1:${published(port)}/v2/`),
			`http://127.0.0.1:${published(port)}`,
		]);
	const url = `https://localhost:${published(privateRegistry.port)}`;
	const code = await step.ask("curl", [
		"-s",
		"-o",
		"/dev/null",
		"-w",
		"%{http_code}",
		"--cacert",
		join(paths.keys, "ca.pem"),
		`${url}/v2/`,
	]);
	rows.push(["private registry", code ? `answers ${code}` : "silent", url]);
	rows.push([
		"registry UI",
		await answers(`http://127.0.0.1:${published(registryVm.uiPort)}/`),
		`http://127.0.0.1:${published(registryVm.uiPort)}`,
	]);
	const widths = [0, 1].map((i) => Math.max(...rows.map((row) => (row[i] as string).length)));
	for (const [part, how, where] of rows)
		console.log(`${part.padEnd(widths[0] as number)}  ${how.padEnd(widths[1] as number)}  ${where}`);
}

/** Exports that a shell takes. */
export async function printEnvironment(): Promise<void> {
	const engine = await findEngine(new Step("env"));
	if (engine === undefined) throw new StepError("the lab is not up; run make lab");
	for (const [name, value] of Object.entries(environment(engine, await readKeys()))) {
		console.log(`export ${name}='${value.replaceAll("'", `'\\''`)}'`);
	}
}
