/** What a preview's events say of a stack: as declared, drifted, or not found out. */
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/index.js";
import { structuredPatch } from "diff";
import { SIGNATURE, UNKNOWN } from "../../host/protocol.ts";
import type { Accepted } from "./args.ts";

const SECRET = "[secret]";

export interface Change {
	/** As Pulumi names the property, for example `files["/etc/motd"].content`. */
	path: string;
	/** The same in words, for example `content of /etc/motd`. */
	what: string;
	/** How it is, and how it is declared: lines that begin with `-`, `+` or a space. Secrets are masked. */
	diff: string[];
}

export interface DriftedResource {
	/** Its name, for example `registry-docker-registry`. */
	name: string;
	/** Its type, for example `host:index:FileSet`. */
	type: string;
	/** What an update would do: `create`, `update`, `replace` or `delete`. */
	action: string;
	changes: Change[];
	/** Why that is accepted, where it is. */
	accepted?: string;
}

export interface StackReport {
	stack: string;
	state: "clean" | "drift" | "error";
	/** What is not as declared. */
	drifted: DriftedResource[];
	/** Names of resources that an update would run again because of those. */
	consequences: string[];
	/** By resource: why its host could not be reached. */
	unreachable: Record<string, string>;
	/** What else the run said: warnings, and dates until which something was accepted. */
	notes: string[];
	/** Why it could not be found out. */
	errors: string[];
	/** What `--fix` did. */
	fixed?: string;
}

/** A report of a stack that could not be looked at. */
export function failed(stack: string, reason: string): StackReport {
	return { stack, state: "error", drifted: [], consequences: [], unreachable: {}, notes: [], errors: [reason] };
}

/** Gathers a preview's events, and forgets at once what the report does not need. */
export class Gatherer {
	private readonly steps = new Map<string, StepEventMetadata>();
	private readonly failed = new Set<string>();
	/** By what is said: of which resources, where it is of one. */
	private readonly said = { error: new Map<string, Set<string>>(), warning: new Map<string, Set<string>>() };

	take({ resourcePreEvent, resOpFailedEvent, diagnosticEvent }: EngineEvent): void {
		const metadata = resourcePreEvent?.metadata;
		if (metadata && !["same", "refresh", "read"].includes(metadata.op)) {
			// A replacement is several steps of one resource; the first one has all that differs.
			if (!this.steps.has(metadata.urn)) this.steps.set(metadata.urn, metadata);
		}
		if (resOpFailedEvent) this.failed.add(nameOf(resOpFailedEvent.metadata.urn));
		const { severity, message = "", urn = "" } = diagnosticEvent ?? {};
		if (severity !== "error" && severity !== "warning") return;
		const line = withoutColour(message).trim();
		const names = this.said[severity].get(line) ?? new Set();
		if (urn && !urn.includes("pulumi:pulumi:Stack")) names.add(nameOf(urn));
		this.said[severity].set(line, names);
	}

	/** The errors among the events; where there are none, why the command failed. */
	problems(failure: string | undefined): string[] {
		const said = lines(this.said.error).filter((line) => line !== "update failed" && line !== "preview failed");
		if (said.length > 0) return said;
		const silent = [...this.failed].map((name) => `${name} failed without a word`);
		return failure === undefined ? silent : [...silent, failure];
	}

	/**
	 * `failure` is why the preview as a whole failed, undefined where it did not. `mask` takes what no diff may show out
	 * of a text. `today` is a date, such as 2026-04-19.
	 */
	report(
		stack: string,
		options: { failure?: string | undefined; accepted: Accepted[]; mask(text: string): string; today: string },
	): StackReport {
		const { failure, accepted, mask, today } = options;
		const report: StackReport = {
			...failed(stack, ""),
			state: "clean",
			notes: lines(this.said.warning).map(mask),
			errors: [],
		};
		for (const step of this.steps.values()) {
			const name = nameOf(step.urn);
			const reason = step.old?.outputs?.["unreachable"];
			if (typeof reason === "string" && reason !== "") {
				report.unreachable[name] = reason;
				continue;
			}
			const changes = changesOf(step, mask);
			const isConsequence = changes.length > 0 && changes.every(({ path }) => isUnknown(step.new?.inputs, path));
			if (isConsequence) {
				report.consequences.push(name);
				continue;
			}
			const action = step.op.replace("create-replacement", "replace").replace("delete-replaced", "replace");
			report.drifted.push({ name, type: step.type, action, changes });
		}
		for (const resource of report.drifted) accept(resource, report.notes, accepted, today);
		report.errors.push(...this.problems(failure).map(mask));
		for (const [name, reason] of Object.entries(report.unreachable))
			report.errors.push(`${name} could not be looked at: ${mask(reason)}`);
		const open = report.drifted.filter((resource) => resource.accepted === undefined);
		report.state = report.errors.length > 0 ? "error" : open.length > 0 ? "drift" : "clean";
		return report;
	}
}

/** What a successful update did about the drift of the report before it, judged by the report after it; a sentence. */
export function whatUpdateDid(before: StackReport, after: StackReport): string {
	const left = new Set(after.drifted.map(({ name }) => name));
	const { stayed = [], gone = [] } = Object.groupBy(before.drifted, ({ name }) => (left.has(name) ? "stayed" : "gone"));
	const isTold = after.state !== "error";
	return [
		...(gone.length > 0 && isTold ? [`pulumi up has put back ${listed(gone)}`] : []),
		...(gone.length > 0 && !isTold
			? [`pulumi up has run, and whether ${listed(gone)} is put back could not be told`]
			: []),
		...(stayed.length > 0 ? [`pulumi up has run, and ${listed(stayed)} still differs`] : []),
	].join("; ");
}

/** Their names, for a sentence. */
export function listed(resources: DriftedResource[]): string {
	return resources.map(({ name }) => name).join(", ");
}

/** Each of them once, with all that it is said of: a cluster that is down is said of each object in it. */
function lines(said: Map<string, Set<string>>): string[] {
	return [...said].map(([line, names]) => (names.size > 0 ? `${[...names].join(", ")}: ${line}` : line));
}

/** The last part of a URN. */
function nameOf(urn: string): string {
	return urn.split("::").at(-1) ?? urn;
}

function accept(resource: DriftedResource, notes: string[], accepted: Accepted[], today: string): void {
	// Where all of a resource comes or goes, no part of it was accepted.
	const applies = ({ resource: name, path }: Accepted) =>
		name === resource.name &&
		(path === undefined ||
			(resource.changes.length > 0 && resource.changes.every((change) => change.path.startsWith(path))));
	for (const entry of accepted.filter(applies)) {
		if (today <= entry.until) resource.accepted ??= `${entry.reason} (until ${entry.until})`;
		else notes.push(`${resource.name} was accepted until ${entry.until} (${entry.reason}), which is over`);
	}
}

function changesOf({ op, detailedDiff, diffs, old, new: wanted }: StepEventMetadata, mask: (text: string) => string) {
	if (op === "create" || op === "delete") return [];
	const paths = Object.keys(detailedDiff ?? {});
	return (paths.length > 0 ? paths : (diffs ?? [])).map((path): Change => {
		// An earlier update's outputs are what is live: the refresh has just read them.
		const is = at(old?.outputs, path) ?? at(old?.inputs, path);
		return { path, what: inWords(path), diff: diffOf(is, at(wanted?.inputs, path), mask) };
	});
}

/** `files["/etc/motd"].content` is "content of /etc/motd"; anything else stays as Pulumi has it. */
function inWords(path: string): string {
	const file = /^(files|lines|conditions)\["(.+)"\](?:\.(\w+))?$/.exec(path);
	if (file === null) return path;
	const [, kind, name, property] = file;
	if (property === undefined) return `${name}`;
	return kind === "lines" ? `lines of ${name}` : `${property} of ${name}`;
}

function diffOf(is: unknown, wanted: unknown, mask: (text: string) => string): string[] {
	const [before, after] = [textOf(is), textOf(wanted)];
	if (before === SECRET || after === SECRET) return [`- ${SECRET}`, `+ ${SECRET}`];
	const { hunks } = structuredPatch("", "", before, after, undefined, undefined, { context: 1 });
	return hunks.flatMap(({ lines }) => lines.filter((line) => !line.startsWith("\\")).map(mask));
}

function textOf(value: unknown): string {
	if (value === undefined || value === null) return "";
	if (isObject(value) && SIGNATURE in value) return SECRET;
	if (value === UNKNOWN) return "(known after the update)";
	return typeof value === "string"
		? value
		: JSON.stringify(value, (_, part) => (isObject(part) && SIGNATURE in part ? SECRET : part), "  ");
}

function isUnknown(value: unknown, path: string): boolean {
	return JSON.stringify(at(value, path) ?? null).includes(UNKNOWN);
}

/** The value at a path as Pulumi writes it: `a.b["c.d"][0]`. */
function at(value: unknown, path: string): unknown {
	const keys = [...path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(
		([, quoted, index, plain]) => quoted ?? index ?? plain ?? "",
	);
	return keys.reduce<unknown>(
		(part, key) => (isObject(part) || Array.isArray(part) ? part[key as never] : undefined),
		value,
	);
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function withoutColour(text: string): string {
	return text.replace(/<\{%[^%]*%\}>/g, "");
}
