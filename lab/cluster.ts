/** The lab's Kubernetes: a whole cluster on one machine. */
import { readFile } from "node:fs/promises";
import type { Engine } from "./engine.ts";
import { kubernetes } from "./estate.ts";
import type { Images } from "./images.ts";
import { type Keys, kubeconfig } from "./keys.ts";
import { startMachine } from "./machines.ts";
import { type Step, until } from "./run.ts";

/** The image of the cluster's pods, as the program names it. */
export const nodeImage = "node:24.21.0-bookworm-slim";

/** The cluster, with the images that its pods run. */
export async function startKubernetes(engine: Engine, step: Step, images: Images, keys: Keys): Promise<void> {
	const { certificate, certificateKey, serviceAccountKey, token } = keys.kubernetes;
	const ca = await readFile(keys.caPath, "utf8");
	const files = Object.entries({
		"ca.pem": ca,
		"server.pem": certificate,
		"server.key": certificateKey,
		"service-account.key": serviceAccountKey,
		"tokens.csv": `${token},admin,admin,"system:masters"\n`,
		kubeconfig: kubeconfig("https://127.0.0.1:6443", ca, token),
	}).map(([name, content]) => ({ name: `etc/kubernetes/${name}`, mode: 0o600, content }));
	const machine = { ...kubernetes, ports: { 6443: kubernetes.port }, files };
	await startMachine(engine, step, machine, images.kubernetes, keys);
	// The API remembers a node as ready for a while; whether it is, its own kubelet and containerd know.
	const alive = "curl --silent --fail http://127.0.0.1:10248/healthz && ctr version";
	await until("the cluster's node is ready", 120, async () => {
		if ((await engine.ask(step, ["exec", kubernetes.container, "sh", "-c", alive])) === undefined) return false;
		const ready = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}";
		return (await engine.ask(step, kubectl("get", "nodes", "--output", ready))) === "True";
	});
	const reviewer = ["clusterrolebinding", "woodpecker-logs-in"];
	const bound = ["--clusterrole=system:auth-delegator", "--serviceaccount=woodpecker:default"];
	for (const [object, ...options] of [
		[["namespace", "monitoring"]],
		[["namespace", "woodpecker"]],
		[reviewer, ...bound],
	] as [string[], ...string[]][])
		if (!(await engine.ask(step, kubectl("get", ...object))))
			await engine.docker(step, kubectl("create", ...object, ...options));
	for (const [source, name] of [
		[images.pause, "docker.io/library/pause:lab"],
		[images.node, `docker.io/library/${nodeImage}`],
	] as const) {
		const ctr = ["exec", kubernetes.container, "ctr", "--namespace", "k8s.io", "images"];
		const [, hash] = source.split(":");
		const there = await engine.docker(step, [...ctr, "list", "--quiet"]);
		if (there.includes(`${hash}`) && there.includes(name)) continue;
		const load = `docker save ${source} | docker exec -i ${kubernetes.container} ctr --namespace k8s.io images import -`;
		await step.run("sh", ["-c", load], { env: { DOCKER_HOST: engine.host } });
		await engine.docker(step, [...ctr, "tag", "--force", `docker.io/${source}`, name]);
	}
}

/** kubectl in the cluster's machine, for `docker`. */
export function kubectl(...args: string[]): string[] {
	return ["exec", "-i", kubernetes.container, "kubectl", "--kubeconfig", "/etc/kubernetes/kubeconfig", ...args];
}
