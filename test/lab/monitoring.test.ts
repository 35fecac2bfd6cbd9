/** The CronJob on a real kubelet: what breaks is found, told to Prometheus, alerted on, and forgotten once it is healed. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kubectl } from "../../lab/cluster.ts";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { caches, monitoring, privateRegistry, published, registryVm, STACK } from "../../lab/estate.ts";
import { loadRules } from "../../lab/monitoring.ts";
import { Step, until } from "../../lab/run.ts";
import { writeMultiArchLayout } from "./image.ts";
import { begin, checkout, docker, drift, env, leave, loggedIn, onVm, run, up, variant } from "./lab.ts";

const step = new Step("test-monitoring");
const METRIC = "registry_manifest_integrity";
const REPOSITORY = "monitoring/app";
const image = `${env("LAB_REGISTRY")}/${REPOSITORY}:latest`;
const data = "/opt/registry/data/private/docker/registry/v2";
let engine: Engine;
let folder: string;
let client: { env: Record<string, string> };

beforeAll(async () => {
	await begin();
	engine = (await findEngine(step)) as Engine;
	folder = await mkdtemp(join(tmpdir(), "monitoring-test-"));
	client = await loggedIn(folder);
	await suspend();
	await onVm(`rm -rf ${data}/repositories/*; ${canary}`);
	await push();
	// Half an hour is the rule's, and proved by promtool; here a second has to do.
	await loadRules(engine, step, (rules) => rules.replaceAll(/for: \d+[mh]/g, "for: 1s"));
});
afterAll(async () => {
	await onVm(`rm -rf ${data}/repositories/monitoring; ${canary}`);
	await loadRules(engine, step);
	await rm(folder, { recursive: true });
	await leave();
});

const canary = `node /opt/registry/upkeep.mjs canary --private ${privateRegistry.name} canary`;

async function push() {
	const layout = join(folder, "layout");
	await rm(layout, { recursive: true, force: true });
	await writeMultiArchLayout(layout, "monitoring");
	const { exitCode, output } = await run("crane", ["push", layout, image], client);
	expect(exitCode, output).toBe(0);
}

const kube = async (...args: string[]) => (await docker(...kubectl("--namespace", "monitoring", ...args))).stdout;

/**
 * Keeps the CronJob's own run at each quarter of an hour from pushing what it sees between a test's run and its look at
 * Prometheus. The next update puts that back.
 */
async function suspend() {
	await kube("patch", "cronjob", "registry-integrity-probe", "--patch", '{"spec":{"suspend":true}}');
	await until("no scheduled run is under way", 120, async () => {
		const { status } = JSON.parse(await kube("get", "cronjob", "registry-integrity-probe", "--output", "json"));
		return (status.active ?? []).length === 0;
	});
}

let jobs = 0;
/** Runs the probe now, with other variables where some are given; resolves with how it ended and what it said. */
async function runProbe(variables: Record<string, string> = {}): Promise<{ succeeded: boolean; log: string }> {
	const name = `test-${process.pid}-${++jobs}`;
	const from = [
		"create",
		"job",
		name,
		"--from",
		"cronjob/registry-integrity-probe",
		"--dry-run=client",
		"--output=json",
	];
	const job = JSON.parse(await kube(...from));
	const [container] = job.spec.template.spec.containers;
	for (const [key, value] of Object.entries(variables)) {
		container.env = container.env.filter((one: { name: string }) => one.name !== key);
		if (value !== "") container.env.push({ name: key, value });
	}
	job.spec.backoffLimit = 0;
	await run("docker", kubectl("--namespace", "monitoring", "apply", "--filename", "-"), {
		env: { DOCKER_HOST: engine.host },
		input: JSON.stringify(job),
	});
	const ended = await until(`the job ${name} has ended`, 120, async () => {
		const { status } = JSON.parse(await kube("get", "job", name, "--output", "json"));
		const conditions: { type: string; status: string }[] = status.conditions ?? [];
		return conditions.find(({ type, status }) => status === "True" && (type === "Complete" || type === "Failed"));
	});
	return { succeeded: ended.type === "Complete", log: await kube("logs", `job/${name}`) };
}

/** What Prometheus answers, by the labels that tell the series apart. */
async function ask(query: string): Promise<{ metric: Record<string, string>; value: number }[]> {
	const url = `http://127.0.0.1:${monitoring.prometheus.port}/api/v1/query?query=${encodeURIComponent(query)}`;
	const { status, data, error } = (await (await fetch(url)).json()) as {
		status: string;
		error?: string;
		data: { result: { metric: Record<string, string>; value: [number, string] }[] };
	};
	if (status !== "success") throw new Error(`${query}: ${error}`);
	return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
}

/** The alerts that fire, as Alertmanager has them. */
async function firing(): Promise<string[]> {
	const url = `http://127.0.0.1:${monitoring.alertmanager.port}/api/v2/alerts?active=true`;
	const alerts = (await (await fetch(url)).json()) as { labels: { alertname: string }; endsAt: string }[];
	return alerts.filter(({ endsAt }) => new Date(endsAt) > new Date()).map(({ labels }) => labels.alertname);
}

const untilMetric = (query: string, value: number) =>
	until(`${query} is ${value}`, 30, async () => (await ask(query))[0]?.value === value);

describe("a healthy registry", () => {
	it("is found whole, and Prometheus hears of it", async () => {
		const { succeeded, log } = await runProbe();
		expect(log).toMatch(/^2 repositories, 2 tags, 1 indexes: 0 broken; \d+ requests, \d+ bytes, [\d.]+ s$/m);
		expect(succeeded).toBe(true);
		await untilMetric(`${METRIC}_repos_checked`, 2);
		const labels = { instance: "registry.viktorbarzin.me:5050", job: "registry-integrity-probe" };
		for (const [name, value] of Object.entries({
			failures: 0,
			catalog_accessible: 1,
			repos_checked: 2,
			tags_checked: 2,
			indexes_checked: 1,
			inconclusive: 0,
		})) {
			const found = await ask(`${METRIC}_${name}`);
			expect(found).toEqual([{ metric: { __name__: `${METRIC}_${name}`, ...labels }, value }]);
		}
		for (const name of ["last_run_timestamp", "last_success_timestamp"])
			expect(Math.abs((await ask(`${METRIC}_${name}`))[0]?.value as number) - Date.now() / 1000).toBeLessThan(60);
	});

	it("its requests push nobody's lines out of the logs of nginx and of the registry", async () => {
		const since = (await onVm("date --utc +%Y-%m-%dT%H:%M:%S.%NZ")).trim();
		expect((await runProbe()).succeeded).toBe(true);
		const count = async (what: string, container: string) =>
			Number(await onVm(`docker logs --since ${since} ${container} 2>&1 | grep -c '${what}' || true`));
		expect(await count('"status":"206"', "registry-nginx")).toBe(0);
		// The others are there, and say who asked.
		expect(await count('/_catalog.*"status":"200"', "registry-nginx")).toBe(1);
		expect(await count("response completed", "registry-private")).toBe(0);
	});

	it("the pod has no token, no rights and nothing to write to", async () => {
		const pods = JSON.parse(
			await kube("get", "pods", "--selector", "app=registry-integrity-probe", "--output", "json"),
		);
		const { spec } = pods.items[0];
		expect(spec.automountServiceAccountToken).toBe(false);
		expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
		expect(spec.containers[0].securityContext).toMatchObject({
			readOnlyRootFilesystem: true,
			allowPrivilegeEscalation: false,
			capabilities: { drop: ["ALL"] },
		});
		expect(spec.volumes).toHaveLength(1);
	});

	it("the CronJob is as agreed, and has the program in one file", async () => {
		const cronJob = JSON.parse(await kube("get", "cronjob", "registry-integrity-probe", "--output", "json"));
		expect(cronJob.spec).toMatchObject({
			schedule: "*/15 * * * *",
			concurrencyPolicy: "Forbid",
			successfulJobsHistoryLimit: 3,
			failedJobsHistoryLimit: 3,
			jobTemplate: { spec: { backoffLimit: 1, ttlSecondsAfterFinished: 600 } },
		});
		const { data } = JSON.parse(await kube("get", "configmap", "registry-integrity-probe", "--output", "json"));
		expect(Object.keys(data).sort()).toEqual(["ca.pem", "probe.cjs"]);
	});
});

describe("an image that breaks", () => {
	it("is found, named, alerted on, and forgotten once it is healed", async () => {
		const { stdout } = await run("crane", ["manifest", `${image}`], client);
		const child = JSON.parse(stdout).manifests[1].digest as string;
		const link = `${data}/repositories/${REPOSITORY}/_manifests/revisions/sha256/${child.replace("sha256:", "")}/link`;
		await onVm(`mv ${link} /run/kept-link`);
		const broken = await runProbe();
		expect(broken.log).toContain(
			`broken: ${REPOSITORY} ${child} is not there: the registry answered 404 (needed by latest)`,
		);
		expect(broken.succeeded).toBe(true); // It could tell.
		await untilMetric(`${METRIC}_failures`, 1);
		await untilMetric(`${METRIC}_repository_failures{repository="${REPOSITORY}"}`, 1);
		await until("the alert fires", 60, async () => (await firing()).includes("RegistryManifestIntegrityFailure"));

		const panels = JSON.parse(
			JSON.parse(await kube("get", "configmap", "registry-integrity-dashboard", "--output", "json")).data[
				"registry-integrity.json"
			],
		).panels as { title: string; targets: { expr: string }[] }[];
		expect(panels.length).toBeGreaterThan(8);
		for (const { title, targets } of panels)
			for (const { expr } of targets) expect(await ask(expr), `${title}: ${expr}`).not.toEqual([]);

		// Nobody can look for a while: what was broken stays so.
		expect((await runProbe({ REGISTRY_PASSWORD: "wrong" })).succeeded).toBe(false);
		await untilMetric(`${METRIC}_catalog_accessible`, 0);
		expect((await ask(`${METRIC}_failures`))[0]?.value).toBe(1);
		expect(await firing()).toContain("RegistryManifestIntegrityFailure");

		await onVm(`mv /run/kept-link ${link}`);
		expect((await runProbe()).log).toContain("0 broken");
		await untilMetric(`${METRIC}_failures`, 0);
		await until(
			"the repository's series is gone",
			30,
			async () => (await ask(`${METRIC}_repository_failures`)).length === 0,
		);
		await until("the alert resolves", 60, async () => !(await firing()).includes("RegistryManifestIntegrityFailure"));
	});
});

describe("what can't be told is never called whole", () => {
	const cache = `http://${registryVm.address}:5000`;
	it.each<[string, Record<string, string>, RegExp]>([
		[
			"another registry, which wants no credentials",
			{ REGISTRY_URL: cache },
			/answered 200 without: not the registry meant/,
		],
		["a registry of another name", { REGISTRY_NAME: "other" }, /calls itself private instead of other/],
		[
			"a catalog without the canary",
			{ CANARY: "no-such-canary" },
			/its catalog has 2 repositories, but not no-such-canary/,
		],
		["a wrong password", { REGISTRY_PASSWORD: "wrong" }, /answered 401; are user and password right/],
		["a certificate of a CA that was not declared", { REGISTRY_CA: "" }, /certificate/],
		["nobody there", { REGISTRY_URL: "https://127.0.0.1:1" }, /ECONNREFUSED/],
	])("%s", async (_, variables, message) => {
		const { succeeded, log } = await runProbe(variables);
		expect(log).toMatch(message);
		expect(log).toContain("not looked at: ");
		expect(succeeded).toBe(false);
		await untilMetric(`${METRIC}_catalog_accessible`, 0);
		expect((await ask(`${METRIC}_failures`))[0]?.value).toBe(0); // As it was when it could be looked at.
		expect(await ask(`${METRIC}_last_success_timestamp`)).toHaveLength(1);
	});

	it("alerts, and resolves", async () => {
		await until("the alert fires", 60, async () => (await firing()).includes("RegistryCatalogInaccessible"));
		expect((await runProbe()).succeeded).toBe(true);
		await until("the alert resolves", 60, async () => !(await firing()).includes("RegistryCatalogInaccessible"));
	});

	it("a Pushgateway that is not reached fails the job", async () => {
		const { succeeded, log } = await runProbe({ PUSHGATEWAY_URL: "http://127.0.0.1:1" });
		expect(log).toMatch(/the Pushgateway http:\/\/127\.0\.0\.1:1 was not reached: .*ECONNREFUSED/);
		expect(succeeded).toBe(false);
	});
});

describe("the VM's own metrics", () => {
	const hub = caches.find(({ metricsPort }) => metricsPort !== undefined) as (typeof caches)[number];

	it("are what promtool takes, below those of the cache", async () => {
		await onVm("/opt/registry/upkeep.sh measure");
		const metrics = await (await fetch(`http://127.0.0.1:${published(hub.metricsPort as number)}/metrics`)).text();
		expect(metrics).toContain("registry_http_requests_total");
		expect(metrics).toContain("registry_vm_disk_available_bytes");
		const inPrometheus = ["exec", "--interactive", monitoring.prometheus.container, "promtool", "check", "metrics"];
		const { output } = await run("docker", inPrometheus, {
			input: metrics,
			env: { DOCKER_HOST: env("LAB_DOCKER_HOST") },
		});
		// It also finds fault with names; those of the cache are not ours.
		expect(output.split("\n").filter((line) => /registry_(vm|cache|scan)|error/.test(line))).toEqual([]);
	});

	it("say what is left of the disk, as df does, and what a cache had to fetch", async () => {
		const [size, left] = (await onVm("df --output=size,avail --block-size=1 /opt/registry/data | tail -n 1"))
			.trim()
			.split(/\s+/)
			.map(Number) as [number, number];
		await until("Prometheus has it", 30, async () => (await ask("registry_vm_disk_size_bytes"))[0]?.value === size);
		const found = (await ask("registry_vm_disk_available_bytes"))[0]?.value as number;
		expect(Math.abs(found - left) / size).toBeLessThan(0.1);

		const counter = async (name: string) =>
			(await ask(`registry_cache_manifest_${name}_total{registry="${hub.name}"}`))[0]?.value as number;
		const before = { requests: await counter("requests"), misses: await counter("misses") };
		// crane asks by tag; the registry asks its upstream for the digest, and for the manifest where it does not have it.
		const image = `127.0.0.1:${published(hub.port)}/${hub.upstream.repository}:1`;
		for (let i = 0; i < 5; i++) expect((await run("crane", ["manifest", image])).exitCode).toBe(0);
		await onVm("/opt/registry/upkeep.sh measure");
		await until("both are counted", 30, async () => (await counter("requests")) >= before.requests + 5);
		expect((await counter("misses")) - before.misses).toBeLessThanOrEqual(1);
	});
});

describe("where Prometheus takes its rules from PrometheusRule objects", () => {
	const definition = {
		apiVersion: "apiextensions.k8s.io/v1",
		kind: "CustomResourceDefinition",
		metadata: { name: "prometheusrules.monitoring.coreos.com" },
		spec: {
			group: "monitoring.coreos.com",
			scope: "Namespaced",
			names: { plural: "prometheusrules", kind: "PrometheusRule" },
			versions: [
				{
					name: "v1",
					served: true,
					storage: true,
					schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
				},
			],
		},
	};

	it("they are one, with the same groups, and the ConfigMap is gone", async () => {
		const args = kubectl("apply", "--filename", "-");
		await run("docker", args, { env: { DOCKER_HOST: engine.host }, input: JSON.stringify(definition) });
		await kube("wait", "--for", "condition=established", "crd/prometheusrules.monitoring.coreos.com", "--timeout=30s");
		const before = await kube(
			"get",
			"configmap",
			"registry-integrity",
			"--output",
			"jsonpath={.data.registry-integrity\\.yml}",
		);
		await using changed = await variant();
		await changed.configure((config) =>
			Object.assign(config["homelab-registry:monitoring"] as object, { rules: "PrometheusRule" }),
		);
		const { exitCode, output } = await changed.up();
		expect(exitCode, output).toBe(0);
		const { spec } = JSON.parse(await kube("get", "prometheusrule", "registry-integrity", "--output", "json"));
		expect(spec).toEqual(parse(before));
		expect(await kube("get", "configmap", "--output", "name")).not.toMatch(/registry-integrity$/m);
		await up();
		await docker(...kubectl("delete", "crd", "prometheusrules.monitoring.coreos.com"));
	});
});

describe("drift in the cluster", () => {
	it("a schedule changed in a dashboard is seen and put back, and the credentials stay out of sight", async () => {
		const midnight = '{"spec":{"schedule":"0 0 * * *"}}';
		// What kubectl has set, the published plugin takes from it; what others have set, where it is told to.
		const dashboard = ["--field-manager", "a-dashboard"];
		await kube("patch", "cronjob", "registry-integrity-probe", "--patch", midnight, ...dashboard);
		const seen = await drift();
		expect(seen.output).toContain("schedule");
		expect(seen.exitCode).not.toBe(0);
		await up();
		expect(await kube("get", "cronjob", "registry-integrity-probe", "--output", "jsonpath={.spec.schedule}")).toBe(
			"*/15 * * * *",
		);
		expect((await drift()).exitCode).toBe(0);
	});

	it("a Secret changed by hand is seen, without a word of it in the output, and is never away", async () => {
		const uid = () => kube("get", "secret", "registry-integrity-probe", "--output", "jsonpath={.metadata.uid}");
		const before = await uid();
		const changed = Buffer.from("changed-by-hand").toString("base64");
		await kube("patch", "secret", "registry-integrity-probe", "--patch", `{"data":{"REGISTRY_PASSWORD":"${changed}"}}`);
		const seen = await drift();
		expect(seen.exitCode).not.toBe(0);
		const password = env("LAB_REGISTRY_PASSWORD");
		for (const secret of [password, Buffer.from(password).toString("base64"), changed])
			expect(seen.output).not.toContain(secret);
		await up();
		expect((await drift()).exitCode).toBe(0);
		expect(await uid()).toBe(before);
	});

	it("a variable that a dashboard has added stays: that is said, with what to do, and no run calls it put back", async () => {
		const name = "registry-integrity-probe";
		const add = async (manager: string, variable: string) => {
			const container = { name: "probe", env: [{ name: variable, value: "1" }] };
			const patch = { spec: { jobTemplate: { spec: { template: { spec: { containers: [container] } } } } } };
			await kube("patch", "cronjob", name, "--patch", JSON.stringify(patch), "--field-manager", manager);
		};
		await add("a-dashboard", "ADDED");
		await add("kubectl-edit", "EDITED");
		expect((await drift()).output).toContain(
			`CronJob monitoring/${name} has what is not declared (env: ADDED), and an update leaves that in it: delete it before the update`,
		);
		const fix = await run("node", ["scripts/drift.ts", "--fix", "--no-report", STACK], { cwd: checkout });
		expect(fix.stdout).toContain(`pulumi up has run, and ${name} still differs`);
		expect(fix.stdout).not.toContain("has put back");
		expect(fix.exitCode).toBe(2);
		const variables = "jsonpath={.spec.jobTemplate.spec.template.spec.containers[0].env[*].name}";
		const left = (await kube("get", "cronjob", name, "--output", variables)).split(" ");
		expect(left).toContain("ADDED");
		expect(left).not.toContain("EDITED");
		await kube("delete", "cronjob", name);
		await up();
		expect((await drift()).exitCode).toBe(0);
	});
});
