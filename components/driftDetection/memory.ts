/** What is remembered of the stacks from one drift run to the next: in the metrics themselves. */
import { Gauge, Registry as Metrics } from "prom-client";
import { query } from "../prometheus.ts";
import { push, pushed, type Sample } from "../pushgateway.ts";
import { JOB, METRICS, type Metric } from "./names.ts";
import type { StackReport } from "./report.ts";

export interface StackMemory {
	state: StackReport["state"];
	/** Since when it has drifted, in seconds since 1970; undefined where it has not. */
	firstSeen?: number | undefined;
	/** When people were last told of it, in seconds since 1970; 0 where they still have to be. */
	told?: number | undefined;
	/** When it was last looked at, in seconds since 1970. */
	lastRun: number;
	/** By name of each resource that has drifted: what an update would do. */
	resources: Record<string, string>;
}

/** By stack. */
export type Memory = Record<string, StackMemory>;

const STATES = ["clean", "drift", "error"] as const;

/**
 * What the last run left in the Pushgateway; where that has nothing, because it was started anew, what Prometheus has
 * of the last two days. Throws a PushgatewayError, or an Error where Prometheus does not answer.
 */
export async function recall(pushgateway: string, prometheus: string | undefined): Promise<Memory> {
	const found = await pushed(pushgateway, JOB);
	if (Object.keys(found).some((name) => name in METRICS) || prometheus === undefined) return memoryOf(found);
	return memoryOf(await ofPrometheus(prometheus));
}

function memoryOf(found: Record<string, Sample[]>): Memory {
	const samples = (metric: Metric) => found[metric] ?? [];
	const value = (metric: Metric, stack: string) =>
		samples(metric).find(({ labels }) => labels["stack"] === stack)?.value;
	const memory: Memory = {};
	for (const { labels, value: state } of samples("drift_stack_state")) {
		const stack = labels["stack"] ?? "";
		const resources = samples("drift_resource_info").filter((sample) => sample.labels["stack"] === stack);
		memory[stack] = {
			state: STATES[state] ?? "error",
			firstSeen: value("drift_stack_first_seen", stack),
			told: value("drift_stack_told_timestamp", stack),
			lastRun: value("drift_stack_last_run_timestamp", stack) ?? 0,
			resources: Object.fromEntries(
				resources.map(({ labels: { resource = "", action = "" } }) => [resource, action] as const),
			),
		};
	}
	return memory;
}

async function ofPrometheus(url: string): Promise<Record<string, Sample[]>> {
	const all = await query(
		url,
		'last_over_time({__name__=~"drift_(stack|resource)_.+"}[2d])',
		"since when a stack has drifted, and the Pushgateway has lost it",
	);
	const found: Record<string, Sample[]> = {};
	for (const { labels, value } of all) {
		const { __name__: name = "", ...rest } = labels;
		found[name] ??= [];
		found[name].push({ labels: rest, value });
	}
	return found;
}

/** What is to be remembered after this run; `now` in seconds since 1970. What could not be found out changes nothing. */
export function remember(before: StackMemory | undefined, report: StackReport, now: number): StackMemory {
	const { state, drifted } = report;
	const open = drifted.filter(({ accepted }) => accepted === undefined);
	const resources = Object.fromEntries(open.map(({ name, action }) => [name, action] as const));
	const firstSeen = state === "clean" ? undefined : (before?.firstSeen ?? (state === "drift" ? now : undefined));
	return {
		state,
		firstSeen,
		told: before?.told,
		lastRun: now,
		resources: state === "error" ? { ...before?.resources, ...resources } : resources,
	};
}

/** A reminder comes with the run of the next day, which may be some minutes early. */
const REMINDER = 23 * 3600;

/** Whether people have to be told of what is so after this run: it is new, or they were told a day ago. */
export function isNews(before: StackMemory | undefined, after: StackMemory): boolean {
	const { state, resources, lastRun } = after;
	if (before?.told === 0) return true;
	if (state === "clean") return before !== undefined && before.state !== "clean";
	if (before === undefined || before.state !== state) return true;
	if (Object.entries(resources).some(([name, action]) => before.resources[name] !== action)) return true;
	return lastRun - (before.told ?? 0) >= REMINDER;
}

/** Replaces the whole group in the Pushgateway. Throws a PushgatewayError. */
export async function keep(pushgateway: string, memory: Memory, now: number): Promise<void> {
	const metrics = new Metrics();
	const gauge = (name: Metric, ...labelNames: string[]) =>
		new Gauge({ name, help: METRICS[name], labelNames, registers: [metrics] });
	const [state, age] = [gauge("drift_stack_state", "stack"), gauge("drift_stack_age_hours", "stack")];
	const [firstSeen, told] = [gauge("drift_stack_first_seen", "stack"), gauge("drift_stack_told_timestamp", "stack")];
	const lastRun = gauge("drift_stack_last_run_timestamp", "stack");
	const info = gauge("drift_resource_info", "stack", "resource", "action");
	for (const [stack, known] of Object.entries(memory)) {
		state.set({ stack }, STATES.indexOf(known.state));
		age.set({ stack }, known.firstSeen === undefined ? 0 : Math.max(0, now - known.firstSeen) / 3600);
		lastRun.set({ stack }, known.lastRun);
		if (known.firstSeen !== undefined) firstSeen.set({ stack }, known.firstSeen);
		if (known.told !== undefined) told.set({ stack }, known.told);
		for (const [resource, action] of Object.entries(known.resources)) info.set({ stack, resource, action }, 1);
	}
	const count = (wanted: StackReport["state"]) => Object.values(memory).filter((one) => one.state === wanted).length;
	gauge("drift_stack_count").set(count("drift"));
	gauge("drift_error_count").set(count("error"));
	gauge("drift_clean_count").set(count("clean"));
	gauge("drift_detection_last_run_timestamp").set(now);
	await push("PUT", pushgateway, { job: JOB }, metrics);
}
