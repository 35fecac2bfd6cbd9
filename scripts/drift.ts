/**
 * npm run drift -- [STACK ...]: is what runs as it is declared? Looks without changing anything, and reports to a person,
 * to Prometheus and to Slack. Exit status 0 it is, 2 it has drifted, 1 it could not be found out, or not be reported.
 */

import { join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { driftDetectionConfig } from "../components/driftDetection/args.ts";
import { outdated } from "../components/driftDetection/checkout.ts";
import { detect } from "../components/driftDetection/detect.ts";
import { isNews, keep, type Memory, recall, remember } from "../components/driftDetection/memory.ts";
import { JOB, type Metric } from "../components/driftDetection/names.ts";
import { failed, type StackReport } from "../components/driftDetection/report.ts";
import { inMarkdown, inSlack, inText } from "../components/driftDetection/words.ts";
import { keySince, pushKeyAges } from "../components/keyMirror/keyAge.ts";
import { ruleProblems } from "../components/loadedRules.ts";
import { scrapeProblems } from "../components/scraping.ts";
import { sendToSlack } from "../components/slack.ts";
import { ConfigError, fromText } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { allAlerts } from "./allAlerts.ts";
import { seconds } from "./seconds.ts";
import { secretTexts, stacks, stackValues } from "./stack.ts";

const folder = join(import.meta.dirname, "..");

interface Options {
	json: boolean;
	markdown: boolean;
	fix: boolean;
	report: boolean;
	deadline: number;
}

const program = new Command()
	.name("npm run drift --")
	.description("Is what runs as it is declared? Exit status 0 it is, 2 it has drifted, 1 that could not be found out.")
	.argument("[stack...]", "by default, the one that is selected")
	.option("--json", "print the report as JSON", false)
	.option("--markdown", "print the report as Markdown", false)
	.option("--fix", "put back what has drifted, by pulumi up", false)
	.option("--no-report", "tell neither the Pushgateway nor Slack (whose webhook is in SLACK_WEBHOOK)")
	.option("--deadline <seconds>", "how long a stack may take", seconds, 900)
	.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 1))
	.action(async (names: string[], options: Options) => {
		process.exitCode = await drift(names, options);
	});
await program.parseAsync().catch((error: unknown) => {
	console.error(error instanceof ExpectedError ? error.message : error);
	process.exitCode = 1;
});

async function drift(names: string[], options: Options): Promise<number> {
	const known = await stacks();
	const selected = known.filter(({ current }) => current).map(({ name }) => name);
	const wanted = names.length > 0 ? [...new Set(names)] : selected;
	if (wanted.length === 0)
		throw new ConfigError(`say which stack; there are: ${known.map(({ name }) => name).join(", ") || "none"}`);

	const problems: string[] = [];
	const looks: { report: StackReport; settings: Settings }[] = [];
	for (const stack of wanted) {
		const settings = await settingsOf(stack);
		const report = await lookAt(stack, settings, options);
		looks.push({ report, settings });
	}

	if (options.report) {
		const places = Map.groupBy(looks, ({ settings }) => settings.pushgateway);
		const pushed = new Set<string | undefined>();
		for (const [pushgateway, seen] of places) {
			const untold = await tell(pushgateway, seen, new Set(known.map(({ name }) => name)));
			if (untold.length === 0) pushed.add(pushgateway);
			problems.push(...untold);
		}
		for (const { settings } of looks)
			problems.push(...(await tellUnwatched(settings, pushed.has(settings.pushgateway))));
		// Where Vault can't be asked, the report says so already.
		for (const { report, settings } of looks)
			if (report.state !== "error") await tellKeyAges(settings).catch((error: Error) => problems.push(error.message));
	}

	const reports = looks.map(({ report }) => report);
	if (options.json) console.log(JSON.stringify({ stacks: reports, problems }, undefined, "  "));
	else if (options.markdown) console.log(reports.map(inMarkdown).join("\n\n"));
	else console.log(reports.map(inText).join("\n"));
	for (const problem of problems) console.error(problem);
	if (problems.length > 0 || reports.some(({ state }) => state === "error")) return 1;
	return reports.some(({ state }) => state === "drift") ? 2 : 0;
}

/** Of a stack's config, what a drift run needs even where the rest of it is wrong. */
interface Settings {
	pushgateway?: string | undefined;
	prometheus?: string | undefined;
	branch?: string | undefined;
	accepted: z.output<typeof driftDetectionConfig>["accepted"];
	runbooks: string;
	/** Of the objects in the cluster; undefined where the stack has none there. */
	namespace?: string | undefined;
	secrets: string[];
	/** By host: the path below the mount in Vault at which there is a copy of its login key. */
	copies: Record<string, string>;
	/** Where registry VMs show metrics. */
	metricsPorts: number[];
	/** The mount, as Vault has it. */
	mount: string;
	/** Why the config can't be used, where it can't. */
	problem?: string;
}

/** Of a host in the config, the same. */
interface HostValues {
	deferred?: unknown;
	key?: { vault?: string };
	registry?: { caches?: { metricsPort?: number }[] };
}

async function settingsOf(stack: string): Promise<Settings> {
	const nothing = {
		...{ accepted: [], runbooks: "docs/runbooks", secrets: [], copies: {}, mount: "secret" },
		metricsPorts: [],
	};
	try {
		const all = await stackValues(stack);
		const secrets = secretTexts(all);
		const values = fromText(Object.fromEntries(Object.entries(all).map(([key, { value }]) => [key, value])));
		const {
			pushgateway,
			namespace,
			runbooks = nothing.runbooks,
		} = (values["monitoring"] || {}) as Record<string, string>;
		const parsed = driftDetectionConfig.safeParse(values["driftDetection"] || {});
		const hosts = Object.entries((values["hosts"] ?? {}) as Record<string, HostValues>);
		const managed = hosts.filter(([, { deferred }]) => deferred === undefined);
		const caches = managed.flatMap(([, { registry }]) => registry?.caches ?? []);
		const metricsPorts = caches.flatMap(({ metricsPort }) => (metricsPort === undefined ? [] : [metricsPort]));
		const copies = Object.fromEntries(hosts.flatMap(([name, { key }]) => (key?.vault ? [[name, key.vault]] : [])));
		const { mount = nothing.mount } = (values["vault"] ?? {}) as { mount?: string };
		const found = { ...nothing, runbooks, namespace, secrets, pushgateway, copies, mount, metricsPorts };
		if (parsed.success) return { ...found, ...parsed.data, pushgateway: parsed.data.pushgateway ?? pushgateway };
		return { ...found, problem: `driftDetection in Pulumi.${stack}.yaml: ${z.prettifyError(parsed.error)}` };
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		return { ...nothing, problem: error.message };
	}
}

async function lookAt(stack: string, settings: Settings, { fix, deadline }: Options): Promise<StackReport> {
	if (settings.problem !== undefined) return failed(stack, settings.problem);
	const old = settings.branch && (await outdated(folder, settings.branch));
	if (old) return failed(stack, old);
	const { accepted, secrets } = settings;
	return detect({ folder, stack, accepted, secrets, deadline, fix, progress: (what) => console.error(what) });
}

/**
 * Resolves with what is wrong with the alerts in Prometheus and the metrics that they are about, or why that could not be
 * told; people are told, too.
 */
async function tellUnwatched(settings: Settings, hasPushed: boolean): Promise<string[]> {
	const { prometheus, namespace, runbooks, pushgateway, metricsPorts: ports } = settings;
	if (prometheus === undefined || namespace === undefined) return [];
	const metric = "drift_detection_last_run_timestamp" satisfies Metric;
	const pushed = hasPushed && pushgateway !== undefined ? { metric, job: JOB } : undefined;
	const asked = [
		ruleProblems(prometheus, allAlerts({ namespace, runbooks })),
		scrapeProblems(prometheus, { pushed, ports }),
	];
	const answers = await Promise.all(asked.map((one) => one.catch((error: Error) => [error.message])));
	const problems = [...new Set(answers.flat())];
	const webhook = process.env["SLACK_WEBHOOK"];
	if (problems.length === 0 || !webhook) return problems;
	const text = [":warning: *Alerts may reach nobody*", ...problems, `What to do: ${runbooks}/drift.md`].join("\n");
	return sendToSlack(webhook, text).then(
		() => problems,
		(error: Error) => [...problems, error.message],
	);
}

/** Throws where Vault does not tell the ages, or the Pushgateway does not take them. */
async function tellKeyAges({ pushgateway, copies, mount }: Settings): Promise<void> {
	if (pushgateway === undefined || Object.keys(copies).length === 0) return;
	const ages = Object.entries(copies).map(async ([host, path]) => [host, await keySince(mount, path)] as const);
	const known = (await Promise.all(ages)).filter((age): age is [string, Date] => age[1] !== undefined);
	await pushKeyAges(pushgateway, Object.fromEntries(known), Date.now());
}

/** Resolves with what could not be told to whom. */
async function tell(
	pushgateway: string | undefined,
	seen: { report: StackReport; settings: Settings }[],
	existing: Set<string>,
): Promise<string[]> {
	const webhook = process.env["SLACK_WEBHOOK"];
	if (pushgateway === undefined) {
		const names = seen.map(({ report }) => report.stack).join(", ");
		if (!webhook) {
			console.error(
				`${names}: nobody is told; the config has no driftDetection.pushgateway, and SLACK_WEBHOOK is not set`,
			);
			return [];
		}
	}
	const problems: string[] = [];
	const note = (error: unknown) => problems.push((error as Error).message);
	const now = Math.floor(Date.now() / 1000);
	let before: Memory = {};
	if (pushgateway !== undefined)
		// Without what was known before, all of it counts as new: people are told once too often, never too seldom.
		await recall(pushgateway, seen[0]?.settings.prometheus).then((memory) => {
			before = memory;
		}, note);
	// A run of some of the stacks leaves the others as they were.
	const memory: Memory = Object.fromEntries(Object.entries(before).filter(([stack]) => existing.has(stack)));
	for (const { report } of seen) memory[report.stack] = remember(before[report.stack], report, now);

	const news = seen
		.map(({ report }) => ({ report, memory: memory[report.stack] as Memory[string] }))
		.filter(({ report: { stack, fixed }, memory }) => fixed !== undefined || isNews(before[stack], memory));
	if (news.length > 0 && webhook) {
		const runbook = `${seen[0]?.settings.runbooks}/drift.md`;
		const sent = await sendToSlack(webhook, inSlack(news, { now, runbook })).then(
			() => true,
			(error) => !note(error),
		);
		for (const { memory } of news) memory.told = sent ? now : 0;
	} else if (news.length > 0) console.error("Slack is not told: SLACK_WEBHOOK is not set");

	if (pushgateway !== undefined) await keep(pushgateway, memory, now).catch(note);
	return problems;
}
