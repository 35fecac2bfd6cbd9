/** The lab's Prometheus and its kin. */
import { request } from "undici";
import { type TarEntry, tarball } from "../host/tarball.ts";
import { kubectl } from "./cluster.ts";
import type { Engine } from "./engine.ts";
import { monitoring, network } from "./estate.ts";
import type { Images } from "./images.ts";
import { ensureContainer } from "./machines.ts";
import { type Step, StepError, until } from "./run.ts";

/** Prometheus, Alertmanager and Pushgateway, outside the cluster, where their restarts trouble nobody. */
export async function startMonitoring(engine: Engine, step: Step, images: Images): Promise<void> {
	const { prometheus, alertmanager, pushgateway } = monitoring;
	const start = ({ container, address, port }: typeof prometheus, inside: number, ...command: string[]) => {
		const place = ["--network", network.name, "--ip", address, "--publish", `127.0.0.1:${port}:${inside}`];
		return ensureContainer(engine, step, container, [...place, images.monitoring, ...command]);
	};
	const isReady = ({ container, port }: typeof prometheus) =>
		until(`${container} is ready`, 60, () =>
			request(`http://127.0.0.1:${port}/-/ready`).then(
				async ({ statusCode, body }) => {
					await body.dump();
					return statusCode === 200;
				},
				() => false,
			),
		);
	const configured = (name: string) => `--config.file=/etc/prometheus/${name}.yml`;
	await Promise.all([
		start(pushgateway, 9091, "prometheus-pushgateway"),
		start(alertmanager, 9093, "prometheus-alertmanager", configured("alertmanager"), "--storage.path=/data"),
		start(
			prometheus,
			9090,
			...["prometheus", configured("prometheus"), "--storage.tsdb.path=/data", "--web.enable-lifecycle"],
		),
	]);
	await Promise.all([pushgateway, alertmanager, prometheus].map(isReady));
}

/** The file with the rules of before this program (found.ts). */
export const FORMER = "alerting_rules.yml";

/** The ConfigMaps with rules, each of which has them in a file of its name. */
const RULES = ["registry-integrity", "drift-detection"];

/**
 * What in the estate a sidecar of Prometheus does: takes the rules out of the cluster's ConfigMaps. `edit` may change
 * them on the way, for a test that has no half hour. Those of before go, which in the estate is for a person to do.
 */
export async function loadRules(engine: Engine, step: Step, edit = (rules: string) => rules): Promise<void> {
	const files = await Promise.all(
		RULES.map(async (name) => {
			const wanted = ["configmap", name, "--output", `jsonpath={.data.${name}\\.yml}`];
			const rules = await engine.docker(step, kubectl("--namespace", "monitoring", "get", ...wanted));
			return { name: `${name}.yml`, mode: 0o644, content: edit(rules) };
		}),
	);
	await reloadRules(engine, step, [...files, { name: FORMER, mode: 0o644, content: "groups: []\n" }]);
}

/** Puts files with rules beside those that Prometheus has, and makes it read all of them. */
export async function reloadRules(engine: Engine, step: Step, files: TarEntry[]): Promise<void> {
	const { container, port } = monitoring.prometheus;
	const input = await tarball(files);
	await engine.docker(step, ["cp", "-", `${container}:/etc/prometheus/rules`], { input });
	const { statusCode, body } = await request(`http://127.0.0.1:${port}/-/reload`, { method: "POST" });
	const said = await body.text();
	if (statusCode !== 200) throw new StepError(`Prometheus refuses its rules: ${said}`);
}
