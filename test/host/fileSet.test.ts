import { describe, expect, it } from "vitest";
import { FileSet } from "../../host/fileSet.ts";
import { type Properties, UNKNOWN } from "../../host/protocol.ts";

const file = { content: "a\n", mode: "0644", owner: "root:root", notify: ["compose"], reaction: "c" };
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
	conditions: { light: { run: "true", state: "on", notify: ["nginx"], reaction: "n" } },
	files,
});
const state = (files?: Record<string, object>, more: object = {}): Properties => ({
	...inputs(files),
	revisions: { compose: "r1", nginx: "r1" },
	owed: [],
	interrupted: false,
	...more,
});

describe("check", () => {
	it("takes good inputs", () => {
		expect(FileSet.check(inputs())).toEqual({});
	});

	it.each([
		["a relative path", inputs({ "etc/one": file }), /files/],
		["a path with a way out", inputs({ "/etc/../one": file }), /files/],
		["a mode that is no mode", inputs({ "/etc/one": { ...file, mode: "644" } }), /mode/],
		["an owner without a group", inputs({ "/etc/one": { ...file, owner: "root" } }), /owner/],
		["a name that would leave its folder", { ...inputs(), name: "../x" }, /name/],
		[
			"a host key that is none",
			{ ...inputs(), connection: { ...(inputs()["connection"] as object), hostKey: "ssh-ed25519 AAAA" } },
			/hostKey/,
		],
	])("refuses %s", (_, bad, message) => {
		expect(JSON.stringify(FileSet.check(bad))).toMatch(message);
	});

	it("does not judge what is not known yet", () => {
		expect(FileSet.check({ ...inputs(), connection: UNKNOWN })).toEqual({});
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
			conditions: { light: { run: "true", state: "off", notify: ["nginx"], reaction: "n" } },
		});
		expect(FileSet.diff(old, inputs())).toEqual({ 'conditions["light"].state': "update" });
	});

	it("sees a bounce that is owed, and an apply that was cut off", () => {
		expect(FileSet.diff(state(undefined, { owed: ["nginx"] }), inputs())).toEqual({ owed: "delete" });
		expect(FileSet.diff(state(undefined, { interrupted: true }), inputs())).toEqual({ interrupted: "delete" });
	});
});

describe("preview", () => {
	const context = { urn: "", preview: true, log: () => {} };
	const revisions = async (old: Properties, wanted: Properties) =>
		(await FileSet.update("test", old, wanted, context))["revisions"];

	it("leaves open the revision of a group whose file changes, and of no other", async () => {
		const other = { ...file, notify: ["nginx"], reaction: "n" };
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
			conditions: { light: { run: "true", state: "off", notify: ["nginx"], reaction: "n" } },
		});
		expect(await revisions(old, inputs())).toEqual({ compose: "r1", nginx: UNKNOWN });
	});

	it("leaves open the revision of a group that loses a file", async () => {
		expect(await revisions(state(), inputs({}))).toEqual({ compose: UNKNOWN, nginx: "r1" });
	});
});
