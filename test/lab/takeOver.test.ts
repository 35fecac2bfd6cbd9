/** An estate that was run by hand for years, taken over in one `pulumi up`: `make lab-found`, then `make lab`. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { push } from "../../components/integrityMonitoring/probe/metrics.ts";
import { ruleProblems } from "../../components/loadedRules.ts";
import { kubectl } from "../../lab/cluster.ts";
import { caches, monitoring, published, registryVm, STACK } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import { allAlerts } from "../../scripts/allAlerts.ts";
import { checkout, docker, drift, hostConfig, make, type Outcome, onVm, pulumi, run, up, variant } from "./lab.ts";
import { type Pushed, pushed } from "./pushed.ts";

const kube = (...args: string[]) => docker(...kubectl("--namespace", "monitoring", ...args));
const theirs = [
	"# backups of somebody else's",
	"15 1 * * * /usr/local/bin/backup --all # registry garbage-collect -m",
].join("\n");
/** Before the take-over nginx leads to these two alone. */
const working = caches.filter(({ name }) => ["dockerhub", "ghcr"].includes(name));

let crontab: string;
let app: Pushed;
let ci: Pushed;
beforeAll(async () => {
	const { exitCode, output } = await make("lab-found");
	expect(exitCode, output).toBe(0);
	crontab = await onVm("crontab -l");
	app = await pushed("app");
	ci = await pushed("infra-ci");
}, 600_000);
afterAll(async () => {
	await app[Symbol.asyncDispose]();
	await ci[Symbol.asyncDispose]();
	const { exitCode, output } = await make("lab");
	expect(exitCode, output).toBe(0);
}, 600_000);

/** That it is as it was before this program, as those see it who use it. */
async function isAsFound() {
	expect(await onVm("crontab -l")).toBe(crontab);
	expect(await onVm("docker inspect --format '{{.Config.Image}}' registry-nginx")).toBe("nginx:alpine");
	await until("the private registry answers", 60, () => app.isWhole("1"));
	for (const { port, upstream } of working)
		expect((await list(published(port), upstream.repository))?.text).toContain(upstream.repository);
}

async function list(port: number, repository: string) {
	const url = `http://127.0.0.1:${port}/v2/${repository}/tags/list`;
	const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
	return answer && { status: answer.status, text: await answer.text().catch(() => "") };
}

/** Asks the caches that work for what only they have, until stopped; resolves with what came instead of it. */
function pullInALoop() {
	let stopped = false;
	const wrong: string[] = [];
	const loops = working.map(async ({ port, upstream }) => {
		while (!stopped) {
			const answer = await list(published(port), upstream.repository);
			// Silence and a gateway's error are a restart; an answer of another registry is not.
			if (answer && answer.status < 500 && !answer.text.includes(upstream.repository))
				wrong.push(`${port}: ${answer.status} ${answer.text}`);
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	});
	return async () => {
		stopped = true;
		await Promise.all(loops);
		return wrong;
	};
}

describe("before the first update", () => {
	it("there is what facts say: nine lines of cron, a broken index, a whole one", async () => {
		expect(crontab.split("\n")).toHaveLength(11);
		expect(await app.isWhole("1")).toBe(true);
		expect(await ci.isWhole("latest")).toBe(false);
	});

	let said: string;
	it("the preview says what it found and what becomes of it, and touches nothing", async () => {
		const files =
			"find /opt/registry /etc /var/spool /var/lib/pulumi-host ! -path '*/data/*' ! -path '*/metrics*' -printf '%p %T@\\n' 2>/dev/null | sort";
		const before = await onVm(files);
		const { exitCode, output } = await pulumi(["preview", "--stack", STACK]);
		expect(exitCode, output).toBe(0);
		said = output.replace(/\s+/g, " ");
		expect(await onVm(files)).toBe(before);
	});

	it.each([
		[
			"each line of cron that goes",
			/the line "\d+ 3 \* \* 0 \S+ exec registry-\w+ registry garbage-collect -m \/etc\/docker\/registry\/config\.yml >> \/var\/log\/registry-gc\.log 2>&1" goes; a copy of the file is kept/g,
			6,
		],
		[
			"the Python programs",
			/the line "\d+ \d \* \* \S+ python3 \/opt\/registry\/(cleanup-tags|fix-broken-blobs)\.sh[^"]*" goes/g,
			3,
		],
		[
			"the files that are replaced",
			/\/opt\/registry\/docker-compose\.yml is there already, and is replaced; a copy is kept/g,
			1,
		],
		["the containers", /containers: found [^:]*?registry-nginx nginx:alpine running/g, 1],
		[
			"the old network and the old cache",
			/leftovers: found network registry_registry, folder \S+\/registry: it is removed once every port has answered/g,
			1,
		],
		[
			"the cluster's objects, and who has to let go of them",
			/CronJob monitoring\/registry-integrity-probe exists, written by Terraform: it is taken over/g,
			1,
		],
		[
			"the old probe's metrics",
			/the Pushgateway has metrics of the job registry-integrity-probe without an instance/g,
			1,
		],
		[
			"alerts of the same name, and where they are",
			/Prometheus has RegistryManifestIntegrityFailure, RegistryIntegrityProbeStale from \S+\/alerting_rules\.yml already/g,
			1,
		],
		["the other pipeline", /the repository has a secret registry_ssh_key already: it is taken over/g, 1],
	])("it names %s", (_, sentence, times) => {
		// What a resource said is shown with the resource and once more at the end.
		expect(new Set(said.match(sentence)).size, said).toBe(times);
	});
});

describe("a first update that fails while it bounces", () => {
	it("puts back the estate as it was found, and brings it up", async () => {
		const folder = await mkdtemp(join(tmpdir(), "take-over-test-"));
		await using changed = await variant();
		await changed.configure((config) => {
			Object.assign(hostConfig(config, registryVm.hostname)["registry"] as object, { uiPort: 9090 });
		});
		await onVm("systemd-run --quiet --unit=held python3 -m http.server 9090");
		const backend = { PULUMI_BACKEND_URL: `file://${folder}/state` };
		await mkdir(join(folder, "state"));
		let outcome: Outcome;
		try {
			await pulumi(["stack", "init", STACK], changed.folder, backend);
			outcome = await pulumi(["up", "--yes", "--skip-preview", "--stack", STACK], changed.folder, backend);
		} finally {
			await onVm("systemctl stop held");
			await rm(folder, { recursive: true });
		}
		expect(outcome.exitCode).not.toBe(0);
		expect(outcome.output).toContain("putting back the files of before the update");
		expect(outcome.output).toContain("what was there before the first update is up again");
		await isAsFound();
	});
});

describe("the update", () => {
	it("takes it over: no client gets wrong content", async () => {
		const stop = pullInALoop();
		const { exitCode, output } = await make("lab");
		const wrong = await stop();
		expect(exitCode, output).toBe(0);
		expect(wrong).toEqual([]);
	});

	it("takes the nine lines out of root's crontab, and keeps a copy", async () => {
		expect(await onVm("crontab -l")).toBe(theirs);
		const kept =
			"cat $(ls -d /var/lib/pulumi-host/registry/generations/* | tail -n 1)/before/var/spool/cron/crontabs/root";
		expect(await onVm(kept)).toContain(crontab);
	});

	it("takes away the old network and the old cache", async () => {
		expect(await onVm("docker network ls --format '{{.Name}}' | sort")).toBe("bridge\nhost\nnone\nregistry");
		expect(
			await onVm("ls $(docker volume inspect --format '{{.Mountpoint}}' registry_nginx-cache) | grep -v _temp"),
		).toBe("blobs");
	});

	it("leaves whole what was whole, and reports what was broken as it was", async () => {
		expect(await app.isWhole("1")).toBe(true);
		expect(await ci.isWhole("latest")).toBe(false);
		const scan = await onVm("/opt/registry/fix-broken-blobs.sh --dry-run || [ $? -eq 1 ]");
		expect(scan).toContain("infra-ci");
		expect(scan).not.toMatch(/\bapp\b/);
	});

	it("makes the cluster's objects its own, and leaves none of Terraform's content", async () => {
		const cronJob = JSON.parse((await kube("get", "cronjob", "registry-integrity-probe", "--output", "json")).stdout);
		expect(JSON.stringify(cronJob.spec)).not.toContain("alpine");
		expect(cronJob.spec.suspend).not.toBe(true);
	});

	it("is clean afterwards, and Prometheus has the alerts once, as they are declared", async () => {
		const prometheus = `http://127.0.0.1:${monitoring.prometheus.port}`;
		const declared = allAlerts({ namespace: "monitoring", runbooks: "docs/runbooks" });
		expect(await ruleProblems(prometheus, declared)).toEqual([]);
		const { exitCode, output } = await drift();
		expect(exitCode, output).toBe(0);
		expect(output).not.toContain("taken over");
	});

	it("the probe's first push removes the old metrics, and says so; the next one finds nothing in its way", async () => {
		const gateway = `http://127.0.0.1:${monitoring.pushgateway.port}`;
		const instance = "registry.viktorbarzin.me:5050";
		const counts = { repositories: 2, tags: 2, indexes: 1 };
		const report = { defects: [], inconclusive: [], ...counts, left: [], coverage: 1 };
		const unknown = { certificate: undefined, declared: undefined };
		const measured = { report, start: Date.now(), end: Date.now(), requests: 1, bytes: 1, ...unknown };
		// The real probe may have come first: as on the first day, again.
		const job = `${gateway}/metrics/job/registry-integrity-probe`;
		for (const more of [`/instance/${instance}`, `/instance/${instance}/result/success`])
			await fetch(job + more, { method: "DELETE" });
		const old = await readFile(join(checkout, "lab/found/metrics.txt"), "utf8");
		expect((await fetch(job, { method: "PUT", body: old })).status).toBe(200);
		expect(await push(gateway, instance, measured)).toBe(true);
		expect(await push(gateway, instance, measured)).toBe(false);
		const lines = (await (await fetch(`${gateway}/metrics`)).text()).split("\n");
		expect(lines.filter((line) => line.startsWith("registry_manifest_integrity_failures"))).toEqual([
			`registry_manifest_integrity_failures{instance="${instance}",job="registry-integrity-probe"} 0`,
		]);
	});
});

it("a line of cron that comes back is drift again, and named in the preview", async () => {
	const line = crontab.split("\n").find((text) => text.includes("registry-private")) as string;
	await onVm(`(crontab -l; echo '${line}') | crontab -`);
	const found = await drift();
	expect(found.exitCode).not.toBe(0);
	expect(found.output).toContain("what ran the upkeep before no longer runs: its collection with -m destroyed images");
	expect(found.output).toContain(`the line "${line}" goes`);
	await up();
	expect(await onVm("crontab -l")).toBe(theirs);
});

it("npm run rollback goes back to the estate as it was found", async () => {
	const rollback = (...args: string[]) => run("npm", ["run", "--silent", "rollback", "--", ...args], { cwd: checkout });
	const listed = await rollback("--stack", STACK, "list");
	const oldest = listed.stdout.trim().split("\n").at(-1)?.split(" ")[0] as string;
	const { exitCode, output } = await rollback("--stack", STACK, "to-before", oldest);
	expect(exitCode, output).toBe(0);
	expect(output).toContain("what was there before the first update is up again");
	await isAsFound();
});
