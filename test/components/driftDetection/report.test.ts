/** What a preview's events say, as a report and in words. */
import { describe, expect, it } from "vitest";
import { mask } from "../../../components/driftDetection/detect.ts";
import { Gatherer, whatUpdateDid } from "../../../components/driftDetection/report.ts";
import { inMarkdown, inSlack, inText } from "../../../components/driftDetection/words.ts";

const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const SECRET = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", ciphertext: "[secret]" };

interface Step {
	op: string;
	name: string;
	old?: object;
	wanted?: object;
	paths?: string[];
}

function events(...steps: Step[]): Gatherer {
	const gatherer = new Gatherer();
	for (const { op, name, old, wanted, paths = [] } of steps) {
		const metadata = {
			op,
			urn: `urn:pulumi:lab::homelab-registry::host:index:FileSet::${name}`,
			type: "host:index:FileSet",
			provider: "",
			...(old && { old: { inputs: old, outputs: old } }),
			...(wanted && { new: { inputs: wanted, outputs: wanted } }),
			detailedDiff: Object.fromEntries(paths.map((path) => [path, { diffKind: "update", inputDiff: false }])),
		};
		gatherer.take({ sequence: 0, timestamp: 0, resourcePreEvent: { metadata } } as never);
	}
	return gatherer;
}

const options = { failure: undefined, accepted: [], mask: mask([]), today: "2026-11-25" };
const file = (content: unknown) => ({ files: { "/etc/motd": { content, mode: "0644" } } });
const CONTENT = 'files["/etc/motd"].content';

describe("a report", () => {
	it("is clean where every step is the same", () => {
		const report = events({ op: "same", name: "a" }, { op: "refresh", name: "a" }).report("lab", options);
		expect(report).toMatchObject({ state: "clean", drifted: [], errors: [] });
	});

	it("names what changed in words, and shows the lines that differ", () => {
		const [old, wanted] = [file("one\ntwo by hand\nthree\n"), file("one\ntwo\nthree\n")];
		const report = events({ op: "update", name: "vm", old, wanted, paths: [CONTENT] }).report("lab", options);
		expect(report.state).toBe("drift");
		expect(report.drifted[0]?.changes).toEqual([
			{ path: CONTENT, what: "content of /etc/motd", diff: [" one", "-two by hand", "+two", " three"] },
		]);
	});

	it("masks what is encrypted in the state, and every secret of the config that was pasted in clear", () => {
		const masked = { ...options, mask: mask(["key line one\nsecret-line-two\n", "hunter22hunter22"]) };
		const encrypted = events({ op: "update", name: "vm", old: file(SECRET), wanted: file(SECRET), paths: [CONTENT] });
		expect(encrypted.report("lab", masked).drifted[0]?.changes[0]?.diff).toEqual(["- [secret]", "+ [secret]"]);
		const old = file("password=hunter22hunter22\nsecret-line-two\n");
		const pasted = events({ op: "update", name: "vm", old, wanted: file("none\n"), paths: [CONTENT] });
		const report = pasted.report("lab", masked);
		expect(report.drifted[0]?.changes[0]?.diff).toEqual(["-password=[secret]", "-[secret]", "+none"]);
	});

	it("keeps apart what only has to run again because of it", () => {
		const report = events(
			{ op: "update", name: "vm", old: file("a"), wanted: file("b"), paths: [CONTENT] },
			{
				op: "create-replacement",
				name: "bounce",
				old: { triggers: ["1"] },
				wanted: { triggers: [UNKNOWN] },
				paths: ["triggers"],
			},
			{ op: "replace", name: "bounce", old: { triggers: ["1"] }, wanted: { triggers: [UNKNOWN] }, paths: ["triggers"] },
			{ op: "delete-replaced", name: "bounce", old: { triggers: ["1"] } },
		).report("lab", options);
		expect(report.drifted.map(({ name }) => name)).toEqual(["vm"]);
		expect(report.consequences).toEqual(["bounce"]);
	});

	it("a host that could not be reached is an error of its own, and no drift", () => {
		const old = { ...file("a"), unreachable: "10.0.20.10:22: timed out" };
		const gone = { op: "update", name: "pve", old, wanted: file("a"), paths: ["unreachable"] };
		const report = events(gone).report("lab", options);
		expect(report).toMatchObject({ state: "error", drifted: [], unreachable: { pve: "10.0.20.10:22: timed out" } });
		expect(report.errors).toEqual(["pve could not be looked at: 10.0.20.10:22: timed out"]);
	});

	it("an error wins over drift, and is what the engine said, not that it failed", () => {
		const gatherer = events({ op: "update", name: "vm", old: file("a"), wanted: file("b"), paths: [CONTENT] });
		const say = (message: string, urn = "") =>
			gatherer.take({
				sequence: 0,
				timestamp: 0,
				diagnosticEvent: { severity: "error", message, urn, color: "never" },
			});
		say("<{%fg 1%}>preview failed<{%reset%}>\n");
		for (const name of ["probe", "rules"]) say("the API server does not answer\n", `urn:pulumi:lab::p::t::${name}`);
		const report = gatherer.report("lab", { ...options, failure: "code: 255" });
		expect(report.state).toBe("error");
		expect(report.errors).toEqual(["probe, rules: the API server does not answer"]);
	});

	it("calls put back only what the look after the update has seen as declared", () => {
		const drifted = (...names: string[]) =>
			events(...names.map((name) => ({ op: "update", name, old: file("a"), wanted: file("b"), paths: [CONTENT] })));
		const before = drifted("vm", "pve").report("lab", options);
		expect(whatUpdateDid(before, drifted().report("lab", options))).toBe("pulumi up has put back vm, pve");
		expect(whatUpdateDid(before, drifted("pve").report("lab", options))).toBe(
			"pulumi up has put back vm; pulumi up has run, and pve still differs",
		);
		const untold = drifted("pve").report("lab", { ...options, failure: "it did not end within 900 seconds" });
		expect(whatUpdateDid(before, untold)).toBe(
			"pulumi up has run, and whether vm is put back could not be told; pulumi up has run, and pve still differs",
		);
	});

	it("a preview that failed without a word is an error, not clean", () => {
		const report = events({ op: "same", name: "a" }).report("lab", { ...options, failure: "no such stack" });
		expect(report).toMatchObject({ state: "error", errors: ["no such stack"] });
	});

	it("what is accepted is listed and not drift, until its day is over", () => {
		const accepted = [{ resource: "vm", path: 'files["/etc/motd"]', reason: "a trial", until: "2026-11-25" }];
		const gatherer = events({ op: "update", name: "vm", old: file("a"), wanted: file("b"), paths: [CONTENT] });
		const report = gatherer.report("lab", { ...options, accepted });
		expect(report.state).toBe("clean");
		expect(report.drifted[0]?.accepted).toBe("a trial (until 2026-11-25)");
		const later = gatherer.report("lab", { ...options, accepted, today: "2026-11-26" });
		expect(later.state).toBe("drift");
		expect(later.notes).toEqual(["vm was accepted until 2026-11-25 (a trial), which is over"]);
	});

	it("a path that is accepted does not cover that all of the resource is gone", () => {
		const gatherer = events({ op: "create", name: "vm", wanted: file("b") });
		const accepted = [{ resource: "vm", path: 'files["/etc/motd"]', reason: "a trial", until: "2026-12-31" }];
		expect(gatherer.report("lab", { ...options, accepted }).state).toBe("drift");
	});

	it("an update of which no plugin says what differs is drift, not a consequence", () => {
		const report = events({ op: "update", name: "vm", old: file("a"), wanted: file("b") }).report("lab", options);
		expect(report).toMatchObject({ state: "drift", consequences: [] });
	});

	it("a path that is accepted does not cover another one of the same resource", () => {
		const paths = [CONTENT, 'files["/etc/passwd"].content'];
		const gatherer = events({ op: "update", name: "vm", old: file("a"), wanted: file("b"), paths });
		const accepted = [{ resource: "vm", path: 'files["/etc/motd"]', reason: "a trial", until: "2026-12-31" }];
		expect(gatherer.report("lab", { ...options, accepted }).state).toBe("drift");
	});
});

describe("in words", () => {
	const [old, wanted] = [file("a\n```\n<!channel> & co\n"), file("b\n")];
	const report = events({ op: "update", name: "vm", old, wanted, paths: [CONTENT] }).report("lab", options);

	it("a terminal gets each line that differs", () => {
		expect(inText(report)).toMatch(
			/^lab has drifted\n {2}update vm \(host:index:FileSet\)\n {4}content of \/etc\/motd\n {6}-a\n/,
		);
	});

	it("Markdown's fences are longer than any in the content", () => {
		expect(inMarkdown(report)).toContain("````diff\n-a\n-```\n");
	});

	it("Slack gets no content, no mention of everybody, and what to do", () => {
		const resource = { ...report.drifted[0], name: "<!channel>" } as (typeof report.drifted)[0];
		const memory = { state: "drift" as const, firstSeen: 0, lastRun: 7200, resources: {} };
		const text = inSlack([{ report: { ...report, drifted: [resource] }, memory }], {
			now: 7200,
			runbook: "r/drift.md",
		});
		expect(text).toBe(
			":warning: *Stack lab has drifted* since 1970-01-01 00:00 UTC (2 h)\n• &lt;!channel&gt;: content of /etc/motd\nWhat to do: `npm run drift -- lab` shows each difference; with `--fix` it is put back. Runbook: r/drift.md",
		);
	});

	it("in Slack, does not promise what --fix has just not done", () => {
		const gatherer = events({ op: "update", name: "vm", old: file("a"), wanted: file("b"), paths: [CONTENT] });
		const report = { ...gatherer.report("lab", options), fixed: "pulumi up has run, and vm still differs" };
		const text = inSlack([{ report, memory: { state: "drift" } as never }], { now: 0, runbook: "r/drift.md" });
		expect(text).toContain("pulumi up has run, and vm still differs");
		expect(text).toContain("what it needs, as `--fix` was not enough");
		expect(text).not.toContain("it is put back");
	});
});
