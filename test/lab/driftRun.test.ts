/** npm run drift: what is not as declared is found, told to people and to Prometheus, and put back where that is asked. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, findEngine } from "../../lab/engine.ts";
import { monitoring, STACK } from "../../lab/estate.ts";
import { loadRules } from "../../lab/monitoring.ts";
import { paths } from "../../lab/paths.ts";
import { Step } from "../../lab/run.ts";
import { begin, env, leave, onVm, pulumi, registryConfig, run, type Variant, variant } from "./lab.ts";

const step = new Step("test-drift-run");
const GATEWAY = `http://127.0.0.1:${monitoring.pushgateway.port}`;
const told: string[] = [];
const answers: [number, Record<string, string>][] = [];
const slack = createServer((request, response) => {
	let body = "";
	request.on("data", (part) => {
		body += part;
	});
	request.on("end", () => {
		const [status, headers] = answers.shift() ?? [200, {}];
		if (status === 200) told.push(JSON.parse(body).text);
		response.writeHead(status, headers).end(status === 200 ? "ok" : "rate_limited");
	});
});
let copy: Variant;

beforeAll(async () => {
	await begin();
	copy = await variant();
	await pulumi(["stack", "init", "not-this-one"], copy.folder);
	await new Promise<void>((resolve) => slack.listen(0, "127.0.0.1", resolve));
	// Whatever was known of earlier tests is over.
	await drift();
	told.length = 0;
});
afterAll(async () => {
	slack.close();
	await pulumi(["stack", "rm", "--yes", "not-this-one"], copy.folder);
	await copy[Symbol.asyncDispose]();
	await leave();
});

/** Runs the command in the copy, in which another stack is selected. */
async function drift(...args: string[]) {
	const { port } = slack.address() as AddressInfo;
	return run("node", ["scripts/drift.ts", STACK, ...args], {
		cwd: copy.folder,
		env: { SLACK_WEBHOOK: `http://127.0.0.1:${port}/services/hook` },
	});
}

/** The run's metrics, without those that are a time. */
async function metrics(): Promise<Record<string, string>> {
	const { body } = await request(`${GATEWAY}/metrics`);
	const lines = (await body.text()).split("\n").filter((line) => line.startsWith("drift_"));
	return Object.fromEntries(
		lines
			.map((line) => line.split(" ") as [string, string])
			.map(([name, value]) => [
				name
					.replace(/(instance="",|job="drift-detection",?)/g, "")
					.replace(/,?\{?\}$/, (end) => (end === "{}" ? "" : end)),
				value,
			]),
	);
}

async function stateDigest(): Promise<string> {
	const text = await readFile(join(paths.state, `.pulumi/stacks/homelab-registry/${STACK}.json`));
	return createHash("sha256").update(text).digest("hex");
}

const HTPASSWD = "/opt/registry/htpasswd";
const schedule = ["--namespace", "monitoring", "get", "cronjob", "registry-integrity-probe", "--output"];

describe("an estate that is as declared", () => {
	it("ends with 0, tells nobody, and touches neither the state nor which stack is selected", async () => {
		const before = await stateDigest();
		const { exitCode, output } = await drift();
		expect(exitCode, output).toBe(0);
		expect(output).toContain("lab is as declared");
		expect(told).toEqual([]);
		expect(await metrics()).toMatchObject({
			'drift_stack_state{stack="lab"}': "0",
			'drift_stack_age_hours{stack="lab"}': "0",
			drift_clean_count: "1",
		});
		const { body } = await request(`${GATEWAY}/metrics`);
		const ages = [...(await body.text()).matchAll(/^ssh_key_age_days\{host="([\w-]+)",.*\} (\S+)$/gm)];
		expect(ages.map(([, host]) => host).sort()).toEqual(["docker-registry", "pve"]);
		for (const [, , days] of ages) expect(Number(days)).toBeLessThan(2);
		expect(await stateDigest()).toBe(before);
		const { stdout } = await pulumi(["stack", "--show-name"], copy.folder);
		expect(stdout).toBe("not-this-one");
	});
});

describe("an estate that was changed by hand", () => {
	beforeAll(async () => {
		await onVm("sed -i 's/server_tokens off;/server_tokens on;/' /opt/registry/nginx.conf");
		// In place: the container that has the file mounted sees it, too.
		await onVm(`echo intruder:not-a-hash >>${HTPASSWD} && docker stop registry-quay`);
		const patch = '{"spec":{"schedule":"0 0 * * *"}}';
		await run("kubectl", [
			"--namespace",
			"monitoring",
			"patch",
			"cronjob",
			"registry-integrity-probe",
			"--patch",
			patch,
		]);
	});

	it("ends with 2, and names each difference without a secret; the state stays", async () => {
		answers.push([429, { "retry-after": "1" }]);
		const before = await stateDigest();
		const { exitCode, output, stdout } = await drift("--json");
		expect(exitCode, output).toBe(2);
		const [report] = JSON.parse(stdout).stacks;
		const what = report.drifted.map((one: { name: string; changes: { what: string }[] }) => [
			one.name,
			one.changes.map((change) => change.what),
		]);
		expect(what).toEqual([
			[
				"registry-docker-registry",
				["state of containers", `content of ${HTPASSWD}`, "content of /opt/registry/nginx.conf"],
			],
			["registry-integrity-probe", ["spec.schedule"]],
		]);
		expect(stdout).toContain("-\\tserver_tokens on;");
		expect(stdout).not.toContain(env("LAB_REGISTRY_PASSWORD"));
		expect(stdout).not.toContain("intruder");
		expect(report.consequences).toContain("registry-docker-registry-nginx-restart");
		expect(await stateDigest()).toBe(before);
	});

	it("people were told once, with what to do, although Slack wanted them to wait; Prometheus has it", async () => {
		expect(told).toEqual([
			expect.stringMatching(
				/^:warning: \*Stack lab has drifted\* since [\d: -]+ UTC \(0 h\)\n• registry-docker-registry: state of containers, .*\n• registry-integrity-probe: spec.schedule\nWhat to do: /,
			),
		]);
		expect(await metrics()).toMatchObject({
			'drift_stack_state{stack="lab"}': "1",
			'drift_resource_info{action="update",resource="registry-integrity-probe",stack="lab"}': "1",
			drift_stack_count: "1",
		});
	});

	it("a second run tells nobody again, and knows since when", async () => {
		const firstSeen = 'drift_stack_first_seen{stack="lab"}';
		const began = (await metrics())[firstSeen];
		expect(began).toMatch(/\d/);
		const { exitCode, output } = await drift("--markdown");
		expect(exitCode, output).toBe(2);
		expect(output).toContain("```diff\n-0 0 * * *\n+*/15 * * * *\n```");
		expect(told).toHaveLength(1);
		const found = await metrics();
		expect(found[firstSeen]).toBe(began);
		expect(Number(found['drift_stack_age_hours{stack="lab"}'])).toBeGreaterThan(0);
	});

	it("--fix puts it back, says what it did, and tells people; the containers have the declared files", async () => {
		const { exitCode, output } = await drift("--fix");
		expect(exitCode, output).toBe(0);
		expect(output).toContain("pulumi up has put back registry-docker-registry, registry-integrity-probe");
		expect(told).toHaveLength(2);
		expect(told[1]).toMatch(/^:white_check_mark: \*Stack lab is as declared\*\npulumi up has put back /);
		const { stdout } = await run("kubectl", [...schedule, "jsonpath={.spec.schedule}"]);
		expect(stdout).toBe("*/15 * * * *");
		expect(await onVm(`grep -c intruder ${HTPASSWD} || true`)).toBe("0");
		const mounted = `/proc/$(docker inspect --format '{{.State.Pid}}' registry-private)/root`;
		const inside = await onVm(
			`cat ${mounted}$(docker inspect --format '{{range .Mounts}}{{println .Source .Destination}}{{end}}' registry-private | sed -n 's|^${HTPASSWD} ||p')`,
		);
		expect(inside).toBe(await onVm(`cat ${HTPASSWD}`));
		const found = await metrics();
		expect(found['drift_stack_state{stack="lab"}']).toBe("0");
		expect(Object.keys(found).filter((name) => /first_seen|resource_info/.test(name))).toEqual([]);
	});
});

describe("alerts that Prometheus has not loaded", () => {
	let engine: Engine;
	beforeAll(async () => {
		engine = (await findEngine(step)) as Engine;
		await loadRules(engine, step, (rules) => rules.replace("alert: DriftUnaddressed", "alert: DriftUnaddressedOld"));
	});
	afterAll(() => loadRules(engine, step));

	it("are named, people are told, and the run does not end well", async () => {
		told.length = 0;
		const { exitCode, output } = await drift();
		expect(exitCode).toBe(1);
		expect(output).toContain("Prometheus has not loaded 1 of the alerts (DriftUnaddressed)");
		expect(told).toEqual([expect.stringContaining("*Alerts may reach nobody*")]);
	});
});

it("a metrics port that Prometheus does not scrape is named, and the run does not end well", async () => {
	await copy.configure((config) => Object.assign(registryConfig(config).caches[1] as object, { metricsPort: 5002 }));
	const { exitCode, output } = await drift();
	await copy.reset();
	expect(exitCode).toBe(1);
	expect(output).toContain("Prometheus scrapes no port 5002");
	expect(output).not.toContain("Prometheus scrapes no port 5001");
	expect(output).not.toContain("nothing of what was pushed");
});

describe("what can't be told is an error, never clean", () => {
	it("a config that can't be used: the key is named, people are told, and Prometheus has state 2", async () => {
		await copy.configure((config) => Object.assign(config, { "homelab-registry:colour": "blue" }));
		const { exitCode, output } = await drift();
		await copy.reset();
		expect(exitCode, output).toBe(1);
		expect(output).toContain("colour: unknown key");
		expect(told.at(-1)).toContain(":red_circle: *Stack lab could not be looked at completely*");
		expect(await metrics()).toMatchObject({ 'drift_stack_state{stack="lab"}': "2", drift_error_count: "1" });
	});

	it("a Pushgateway that is not there, and a Slack that refuses, each fail the run", async () => {
		await copy.configure((config) => {
			config["homelab-registry:driftDetection"] = { pushgateway: "http://127.0.0.1:9" };
		});
		answers.push([404, {}]);
		await onVm("chmod 0600 /opt/registry/nginx.conf");
		const { exitCode, output } = await drift();
		await copy.reset();
		await onVm("chmod 0644 /opt/registry/nginx.conf");
		expect(exitCode, output).toBe(1);
		expect(output).toContain("the Pushgateway http://127.0.0.1:9 was not reached");
		expect(output).toContain("Slack did not take the message: 404");
		expect(output).toContain("mode of /opt/registry/nginx.conf");
	});

	it("a stack that there is not", async () => {
		const { exitCode, output } = await run("node", ["scripts/drift.ts", "--no-report", "nowhere"], {
			cwd: copy.folder,
		});
		expect(exitCode).toBe(1);
		expect(output).toMatch(/nowhere could not be looked at completely\n {2}error: .*nowhere/);
	});
});
