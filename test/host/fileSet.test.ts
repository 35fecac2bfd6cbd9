import { describe, expect, it } from "vitest";
import { FileSet } from "../../host/fileSet.ts";
import { type Properties, UNKNOWN } from "../../host/protocol.ts";

const file = { content: "a\n", mode: "0644", owner: "root:root", notify: ["compose"], effect: "c" };
const inputs = (files: Record<string, object> = { "/etc/one": file }): Properties => ({
	name: "test",
	connection: {
		host: "h",
		user: "root",
		privateKey: "k",
		hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl7nqVg5cDjSM2M0dmwFw0QvJ8hyjzv0yYbbyDGnPsj",
	},
	preconditions: [],
	checks: [],
	beforeActivation: [],
	lines: {},
	conditions: { light: { script: "true", state: "on", notify: ["nginx"], effect: "n" } },
	files,
});
const state = (files?: Record<string, object>, more: object = {}): Properties => ({
	...inputs(files),
	revisions: { compose: "r1", nginx: "r1" },
	owed: [],
	interrupted: false,
	unreachable: "",
	...more,
});

describe("check", () => {
	it("takes good inputs", () => {
		expect(FileSet.check(inputs())).toEqual({ inputs: inputs(), failures: {} });
	});

	it("fills in what is left out", () => {
		const { name, connection, files } = inputs();
		const { inputs: filled, failures } = FileSet.check({ name, connection, files });
		expect(failures).toEqual({});
		expect(filled).toEqual({ ...inputs(), conditions: {} });
	});

	it.each([
		["a relative path", inputs({ "etc/one": file }), /files\.etc\/one is not an absolute path/],
		["a path with a way out", inputs({ "/etc/../one": file }), /has a \. or \.\. in it/],
		["a path with a newline", inputs({ "/etc/one\ntwo": file }), /is not an absolute path/],
		[
			"a problem that is no line",
			{ ...inputs(), preconditions: [{ script: "x", problem: "a\tb", advice: "c" }] },
			/preconditions\.0\.problem is empty, or has a newline, a tab/,
		],
		[
			"a path that is declared twice",
			{ ...inputs(), lines: { "/etc/one": { present: [], absent: [], notify: [], effect: "c" } } },
			/\/etc\/one is declared in files, too/,
		],
		[
			"a line that does not end with its label",
			{ ...inputs(), lines: { "/x": { present: [{ text: "key a", label: "b" }], notify: [], effect: "c" } } },
			/does not end with its label/,
		],
		["a mode that is no mode", inputs({ "/etc/one": { ...file, mode: "644" } }), /mode/],
		["an owner without a group", inputs({ "/etc/one": { ...file, owner: "root" } }), /owner/],
		["a name that would leave its folder", { ...inputs(), name: "../x" }, /name/],
		[
			"a host key that is none",
			{ ...inputs(), connection: { ...(inputs()["connection"] as object), hostKey: "ssh-ed25519 AAAA" } },
			/is not a host key/,
		],
	])("refuses %s", (_, bad, message) => {
		expect(Object.values(FileSet.check(bad).failures).join()).toMatch(message);
	});

	it("does not judge what is not known yet", () => {
		expect(FileSet.check({ ...inputs(), connection: UNKNOWN }).failures).toEqual({});
	});

	it("takes paths as the operating system does: dots, spaces, letters of any language", () => {
		const odd = ["/root/.ssh/authorized_keys", "/srv/a b/ü", "/srv/-x", "/srv/a'b$c`d\"e"];
		expect(FileSet.check(inputs(Object.fromEntries(odd.map((path) => [path, file])))).failures).toEqual({});
	});
});

describe("diff", () => {
	it("is empty where nothing differs", () => {
		expect(FileSet.diff(state(), inputs())).toEqual({});
	});

	it("names what differs, file by file", () => {
		const old = state({ "/etc/gone": file, "/etc/one": file });
		const wanted = inputs({ "/etc/one": { ...file, content: "b\n", mode: "0600" }, "/etc/new": file });
		expect(FileSet.diff(old, wanted)).toEqual({
			'files["/etc/gone"]': "delete",
			'files["/etc/one"].content': "update",
			'files["/etc/one"].mode': "update",
			'files["/etc/new"]': "add",
		});
	});

	it("sees a condition that is not as declared", () => {
		const old = state(undefined, {
			conditions: { light: { script: "true", state: "off", notify: ["nginx"], effect: "n" } },
		});
		expect(FileSet.diff(old, inputs())).toEqual({ 'conditions["light"].state': "update" });
	});

	it("sees a bounce that is owed, and an apply that was cut off", () => {
		expect(FileSet.diff(state(undefined, { owed: ["nginx"] }), inputs())).toEqual({ owed: "delete" });
		expect(FileSet.diff(state(undefined, { interrupted: true }), inputs())).toEqual({ interrupted: "delete" });
	});

	it("sees a host that could not be reached, so that no preview calls it clean", () => {
		expect(FileSet.diff(state(undefined, { unreachable: "it is down" }), inputs())).toEqual({ unreachable: "update" });
	});

	it("takes the state of release 0.1 for what it was", () => {
		const old = JSON.parse(
			JSON.stringify(state()).replaceAll('"effect"', '"reaction"').replaceAll('"script"', '"run"'),
		);
		for (const key of ["beforeActivation", "lines", "unreachable"]) delete old[key];
		expect(FileSet.diff(old, inputs())).toEqual({});
	});
});

describe("preview", () => {
	const context = { urn: "", preview: true, log: () => {} };
	const revisions = async (old: Properties, wanted: Properties) =>
		(await FileSet.update("test", old, wanted, context))["revisions"];

	it("leaves open the revision of a group whose file changes, and of no other", async () => {
		const other = { ...file, notify: ["nginx"], effect: "n" };
		const wanted = inputs({ "/etc/one": { ...file, content: "b\n" }, "/etc/two": other });
		expect(await revisions(state({ "/etc/one": file, "/etc/two": other }), wanted)).toEqual({
			compose: UNKNOWN,
			nginx: "r1",
		});
	});

	it("leaves open the revision of a group that is owed a bounce", async () => {
		expect(await revisions(state(undefined, { owed: ["nginx"] }), inputs())).toEqual({ compose: "r1", nginx: UNKNOWN });
	});

	it("leaves open the revision of a group that has to repair something", async () => {
		const old = state(undefined, {
			conditions: { light: { script: "true", state: "off", notify: ["nginx"], effect: "n" } },
		});
		expect(await revisions(old, inputs())).toEqual({ compose: "r1", nginx: UNKNOWN });
	});

	it("says of a file that goes what becomes of it then, where that is another thing", async () => {
		const said: string[] = [];
		const log = (_: string, message: string) => said.push(message);
		const old = { "/etc/one": { ...file, removalEffect: "it is silent" }, "/etc/two": file };
		await FileSet.update("test", state(old), inputs({}), { ...context, log });
		expect(said).toEqual(["/etc/one goes: it is silent", "/etc/two goes: c"]);
	});

	it("leaves open the revision of a group that loses a file", async () => {
		expect(await revisions(state(), inputs({}))).toEqual({ compose: UNKNOWN, nginx: "r1" });
	});
});
