/** The FileSet plugin against a real sshd, without the engine. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { FileSet } from "../../../host/fileSet.ts";
import type { Properties } from "../../../host/protocol.ts";
import { disconnect } from "../../../host/ssh.ts";
import { type Machine, startMachine } from "./machine.ts";

const ROOT = "/srv/fileset-test";
const LOCK = "/run/pulumi-host-fileset-test.lock";
/** Leaves the lock of an update that is at work: the process, and when it was started. */
const updateAtWork = `sleep 60 >/dev/null 2>&1 & echo "$! $(sed 's/.*) //' /proc/$!/stat | cut -d ' ' -f 20)" >${LOCK}`;
const context = { urn: "", preview: false, log: () => {} };
let machine: Machine;
beforeAll(async () => {
	machine = await startMachine();
});
afterAll(async () => {
	await disconnect();
	await machine[Symbol.asyncDispose]();
});
const onVm = (command: string) => machine.run(command);
const connection = async () => machine.connection;
const file = (content: string, more: object = {}) => ({
	content,
	mode: "0644",
	owner: "root:root",
	notify: ["web"],
	effect: "web is restarted",
	...more,
});
const inputs = async (files: Record<string, object>, more: object = {}): Promise<Properties> => ({
	name: "fileset-test",
	connection: await connection(),
	preconditions: [],
	checks: [],
	beforeActivation: [],
	conditions: {},
	lines: {},
	files: Object.fromEntries(Object.entries(files).map(([name, value]) => [`${ROOT}/${name}`, value])),
	...more,
});
const create = async (files: Record<string, object>, more?: object) =>
	(await FileSet.create(await inputs(files, more), context)).state;
const read = async (state: Properties) => {
	const live = await FileSet.read?.("fileset-test", state, context);
	if (live === undefined) throw new Error("read returned nothing");
	return live.state as {
		files: Record<string, object>;
		revisions: Record<string, string>;
		owed: string[];
		interrupted: boolean;
	};
};
const update = async (state: Properties, files: Record<string, object>, more?: object) =>
	(await FileSet.update("fileset-test", state, await inputs(files, more), context)) as Properties & {
		revisions: Record<string, string>;
	};
const settle = () => onVm("cd /var/lib/pulumi-host/fileset-test && mkdir -p verified && cp revisions/* verified/");
const everything = () => onVm(`find ${ROOT} -type f -printf '%p %m %u\n' -exec cat {} \\; | sort; ls -A ${ROOT}`);

const wipe = () => onVm(`umount ${ROOT}/* 2>/dev/null; rm -rf ${ROOT} /var/lib/pulumi-host/fileset-test`);
beforeEach(wipe);
afterEach(wipe);

describe("create and read", () => {
	it("puts files in place with content, mode and owner, and reads them back", async () => {
		const files = {
			"deep/a.conf": file("a\n"),
			secret: file("s\n", { mode: "0600" }),
			script: file("#!/bin/sh\n", { mode: "0755", owner: "nobody:nogroup" }),
		};
		const state = await create(files);
		expect(await onVm(`stat -c '%n %a %U:%G' ${ROOT}/deep/a.conf ${ROOT}/secret ${ROOT}/script`)).toBe(
			`${ROOT}/deep/a.conf 644 root:root\n${ROOT}/secret 600 root:root\n${ROOT}/script 755 nobody:nogroup`,
		);
		expect((await read(state)).files).toEqual((await inputs(files))["files"]);
		expect(FileSet.diff({ ...(await read(state)), owed: [] }, await inputs(files))).toEqual({});
	});

	it("leaves nothing but the files behind", async () => {
		await create({ a: file("a\n") });
		expect(await onVm(`ls -A ${ROOT} /run | grep -E 'staged|pulumi-host' || true`)).toBe("");
		expect(await onVm("ls -A /var/lib/pulumi-host/fileset-test")).toBe("generations\nrevisions");
	});

	it("works for two sets at once, the first on their host, in a folder that is not there yet", async () => {
		// Each waits with its program in hand until the other has come so far, for at most five seconds.
		const mv = `#!/bin/sh
case $* in
*fileset.sh*)
	mkdir -p /srv/arrived && : >"/srv/arrived/$$"
	for _ in $(seq 100); do [ "$(ls /srv/arrived | wc -l)" -lt 2 ] || break; sleep 0.05; done
	;;
esac
exec /srv/real-mv "$@"
`;
		await machine.run("rm -f /var/lib/pulumi-host/*.sh && cp /usr/bin/mv /srv/real-mv && cat >/srv/mv", mv);
		await onVm("chmod 755 /srv/mv && mount --bind /srv/mv /usr/bin/mv");
		try {
			await Promise.all([create({ a: file("a\n") }), create({ b: file("b\n") }, { name: "fileset-test-other" })]);
			expect(await onVm("ls /srv/arrived | wc -l")).toBe("2");
			expect(await onVm("ls -A /var/lib/pulumi-host")).toBe("fileset-test\nfileset-test-other\nfileset.sh");
		} finally {
			await onVm("umount --lazy /usr/bin/mv && rm -rf /srv/arrived /var/lib/pulumi-host/fileset-test-other");
		}
	});

	it("keeps content to the byte: no newline at the end, quotes, dollar signs, UTF-8, and an empty file", async () => {
		const files = { a: file('it\'s $HOME `date` \\n "x"\tä€'), empty: file("") };
		const state = await create(files);
		expect((await read(state)).files).toEqual((await inputs(files))["files"]);
		expect(FileSet.diff({ ...state, ...(await read(state)), owed: [] }, await inputs(files))).toEqual({});
	});
});

describe("the preview of a first update", () => {
	const TABLE = `${ROOT}/crontab`;
	const preview = async (more: object) => {
		const said: string[] = [];
		const log = (_: string, message: string) => said.push(message);
		const wanted = await inputs({ a: file("1\n"), b: file("1\n"), new: file("1\n") }, more);
		const { state } = await FileSet.create(wanted, { urn: "", preview: true, log });
		return { said, state: state as { revisions: object } };
	};

	it("says what is there and what becomes of it, and touches nothing", async () => {
		await onVm(
			`mkdir -p ${ROOT} && cd ${ROOT} && echo 1 >a && echo found >b && printf '# x\nkeep\nold 1\nold 2\n' >crontab`,
		);
		await onVm(`chown root:root ${ROOT}/a && chmod 644 ${ROOT}/a`);
		const before = await everything();
		const { said } = await preview({
			lines: { [TABLE]: { present: [], absent: [{ pattern: "^old" }], notify: [], effect: "it is quiet" } },
			conditions: {
				light: { script: "echo off; echo 'bulb one'", state: "bulb one\n", notify: ["light"], effect: "it is lit" },
				calm: { script: "echo calm", state: "calm\n", notify: ["light"], effect: "it is calmed" },
			},
			preconditions: [
				{ script: "true", problem: "the sky has fallen", advice: "look up" },
				{ script: "echo noise; false", problem: "there is no door", advice: "build one" },
				{ script: "test $1 = b", args: ["a"], remedy: "true", problem: "there is no lamp", advice: "buy one" },
			],
		});
		expect(said).toEqual([
			[
				`${ROOT}/b is there already, and is replaced; a copy is kept: web is restarted`,
				`${TABLE}: the line "old 1" goes; a copy of the file is kept`,
				`${TABLE}: the line "old 2" goes; a copy of the file is kept`,
				"light: found off: it is lit",
				"there is no lamp: the update tries to put that right",
			].join("\n"),
			"the update will be refused: there is no door; build one",
		]);
		expect(await everything()).toBe(before);
		expect(await onVm("ls -A /var/lib/pulumi-host/fileset-test 2>/dev/null || true")).toBe("");
	});

	it("of a host that can't be reached says that it could not tell, and goes on", async () => {
		const { said } = await preview({ connection: { ...(await connection()), port: 9 } });
		expect(said).toEqual([expect.stringMatching(/^what is on 127\.0\.0\.1 already can't be told before the update: /)]);
	});
});

it("the groups of a condition have a revision from the first update on, and where it is declared later", async () => {
	const light = { script: "echo on", state: "on\n", notify: ["light"], effect: "it is lit" };
	const state = await create({ a: file("1\n") }, { conditions: { light } });
	expect(Object.keys(state["revisions"] as object).sort()).toEqual(["light", "web"]);
	await settle();
	const more = { light, door: { ...light, notify: ["door"] } };
	const later = await update({ ...state, owed: [] }, { a: file("1\n") }, { conditions: more });
	expect(later.revisions["door"]).toBeDefined();
	expect(later.revisions["light"]).toBe((state["revisions"] as Record<string, string>)["light"]);
});

describe("update", () => {
	it("touches only what differs, and gives a new revision only to its groups", async () => {
		const state = await create({ a: file("1\n"), b: file("1\n", { notify: ["db"] }) });
		const inode = await onVm(`stat -c %i ${ROOT}/b`);
		const updated = await update(state, { a: file("2\n"), b: file("1\n", { notify: ["db"] }) });
		expect(await onVm(`cat ${ROOT}/a; stat -c %i ${ROOT}/b`)).toBe(`2\n${inode}`);
		const before = state["revisions"] as Record<string, string>;
		expect(updated.revisions["db"]).toBe(before["db"]);
		expect(updated.revisions["web"]).not.toBe(before["web"]);
	});

	it("removes what is no longer declared, and tells its group", async () => {
		const state = await create({ a: file("1\n"), b: file("1\n", { notify: ["db"] }) });
		const updated = await update(state, { a: file("1\n") });
		expect(await onVm(`ls -A ${ROOT}`)).toBe("a");
		expect(updated.revisions["db"]).not.toBe((state["revisions"] as Record<string, string>)["db"]);
	});

	it("repairs a hand edit, whatever it was", async () => {
		const files = { a: file("1\n"), b: file("1\n"), c: file("1\n") };
		const state = await create(files);
		const before = await everything();
		await onVm(`cd ${ROOT} && echo x >a && chmod 777 b && rm c && ln -s /etc/passwd c`);
		const drifted = await read(state);
		expect(Object.keys(FileSet.diff({ ...drifted, owed: [] }, await inputs(files)))).toEqual([
			`files["${ROOT}/a"].content`,
			`files["${ROOT}/b"].mode`,
			`files["${ROOT}/c"].content`,
			`files["${ROOT}/c"].mode`,
			...((await onVm(`stat -c %U ${ROOT}/c`)) === "root" ? [] : [`files["${ROOT}/c"].owner`]),
		]);
		await update({ ...state, ...drifted }, files);
		expect(await everything()).toBe(before);
		expect(await onVm("head -1 /etc/passwd")).toContain("root:x:0:0");
	});
});

describe("a debt", () => {
	it("is open from the first change until the bounce was verified", async () => {
		const state = await create({ a: file("1\n") });
		expect((await read(state)).owed).toEqual(["web"]);
		await settle();
		expect((await read(state)).owed).toEqual([]);
		await update(state, { a: file("2\n") });
		expect((await read(state)).owed).toEqual(["web"]);
	});

	it("that a dead run left is issued again under a new revision", async () => {
		const files = { a: file("1\n") };
		const state = await create(files);
		const owing = await read(state);
		const again = await update({ ...state, ...owing }, files);
		expect(again.revisions["web"]).not.toBe(owing.revisions["web"]);
	});
});

describe("a condition", () => {
	const conditions = {
		light: { script: `cat ${ROOT}/light`, state: "on\n", notify: ["web"], effect: "web is restarted" },
	};

	it("is seen as it is, and its groups act when it is not as declared", async () => {
		const files = { a: file("1\n") };
		const state = await create(files, { conditions });
		await settle();
		await onVm(`echo on >${ROOT}/light`);
		const good = await read(state);
		expect(FileSet.diff({ ...state, ...good }, await inputs(files, { conditions }))).toEqual({});

		await onVm(`echo off >${ROOT}/light`);
		const bad = await read(state);
		expect(FileSet.diff({ ...state, ...bad }, await inputs(files, { conditions }))).toEqual({
			'conditions["light"].state': "update",
		});
		const acted = await update({ ...state, ...bad }, files, { conditions });
		expect(acted.revisions["web"]).not.toBe(good.revisions["web"]);
	});

	it("shows what its script said when it failed", async () => {
		const state = await create({ a: file("1\n") }, { conditions });
		const { conditions: seen } = (await read(state)) as unknown as { conditions: { light: { state: string } } };
		expect(seen.light.state).toMatch(/No such file/);
	});
});

describe("a script's arguments", () => {
	const hostile = [
		"a b",
		`it's "quoted"`,
		"$(touch /srv/executed) `touch /srv/executed`",
		"two\nlines",
		"-rf",
		"--",
		"",
		"*",
		"; touch /srv/executed #",
	];
	const print = 'for argument in "$@"; do printf "<%s>" "$argument"; done';
	const printed = hostile.map((argument) => `<${argument}>`).join("");
	afterEach(async () => {
		expect(await onVm("ls /srv/executed 2>/dev/null || true")).toBe("");
		await onVm("rm -f /srv/seen /srv/executed");
	});

	it("reach a check and a hook as they are: none is executed, split or lost", async () => {
		const judge = { name: "judge", script: `(${print}) >>/srv/seen`, args: hostile, files: [`${ROOT}/a`] };
		await create({ a: file("1\n") }, { checks: [judge], beforeActivation: [judge] });
		expect(await onVm("cat /srv/seen")).toBe(printed + printed);
	});

	it("reach a precondition and its remedy", async () => {
		const precondition = {
			script: "[ -e /srv/seen ]",
			remedy: `(${print}) >/srv/seen`,
			args: hostile,
			problem: "x",
			advice: "x",
		};
		await create({ a: file("1\n") }, { preconditions: [precondition] });
		expect(await onVm("cat /srv/seen")).toBe(printed);
	});

	it("reach a condition", async () => {
		const condition = { script: print, args: hostile, state: printed, notify: ["web"], effect: "x" };
		const state = await create({ a: file("1\n") }, { conditions: { condition } });
		const { conditions } = (await read(state)) as unknown as { conditions: { condition: { state: string } } };
		expect(conditions.condition.state).toBe(printed);
	});
});

describe("a hook", () => {
	const hook = (script: string) => ({ name: "the hook refuses", script, files: [`${ROOT}/a`] });
	const state = async () => create({ a: file("1\n"), b: file("1\n") });

	it("runs once every check has passed, when its file changes, before the first file is replaced", async () => {
		const old = await state();
		const beforeActivation = [hook(`echo "$(cat ${ROOT}/a) $(cat "$(staged ${ROOT}/a)") $revision" >/srv/seen`)];
		const updated = await update(old, { a: file("2\n"), b: file("1\n") }, { beforeActivation });
		expect(await onVm("cat /srv/seen")).toBe(`1 2 ${updated.revisions["web"]}`);
		await onVm("rm /srv/seen");
		await update(updated, { a: file("2\n"), b: file("2\n") }, { beforeActivation });
		expect(await onVm("ls /srv/seen 2>/dev/null || true")).toBe("");
	});

	it("that fails leaves everything as it was", async () => {
		const old = await state();
		const before = await everything();
		const beforeActivation = [hook("echo because; false")];
		await expect(update(old, { a: file("2\n"), b: file("2\n") }, { beforeActivation })).rejects.toThrow(
			/127\.0\.0\.1 was not changed: the hook refuses: because/,
		);
		expect(await everything()).toBe(before);
	});

	it("does not run where a check refuses", async () => {
		const old = await state();
		const checks = [{ name: "no", script: "false", files: [`${ROOT}/a`] }];
		const more = { checks, beforeActivation: [hook("echo ran >/srv/seen")] };
		await expect(update(old, { a: file("2\n"), b: file("1\n") }, more)).rejects.toThrow();
		expect(await onVm("ls /srv/seen 2>/dev/null || true")).toBe("");
	});
});

describe("lines of somebody else's file", () => {
	const PATH = `${ROOT}/keys`;
	const OURS = "restrict,pty ssh-ed25519 AAAAnew of the program";
	const lines = (declared: object, more: object = {}) => ({
		lines: {
			[PATH]: { present: [], absent: [], notify: ["keys"], effect: "nobody is restarted", ...declared, ...more },
		},
	});
	const ours = lines({ present: [{ text: OURS, label: "of the program" }] });
	/** Their bytes, as hexadecimal digits: not all of them are text. */
	const write = (latin1: string, mode = "640") =>
		machine.run(`mkdir -p ${ROOT} && cat >${PATH} && chmod ${mode} ${PATH} && chown nobody:nogroup ${PATH}`, latin1);
	const bytes = async () => Buffer.from(await onVm(`od -An -v -tx1 ${PATH} | tr -d ' \\n'`), "hex").toString("latin1");
	const apply = (more: object) => create({ other: file("1\n") }, more);

	it("are replaced by their label, appended, taken away; every other byte, the mode and the owner stay", async () => {
		await write(
			"# \u00fcber\n\nssh-rsa AAAA theirs\r\nssh-ed25519 AAAAold of the program\n# ssh-x of the program\nbad line\nlast",
		);
		await apply(
			lines({
				present: [{ text: OURS, label: "of the program" }, { text: "new line" }],
				absent: [{ text: "bad line" }, { label: "nobody's" }],
			}),
		);
		expect(await bytes()).toBe(
			`# \u00c3\u00bcber\n\nssh-rsa AAAA theirs\r\n${OURS}\n# ssh-x of the program\nlast\nnew line\n`,
		);
		expect(await onVm(`stat -c '%a %U:%G' ${PATH}`)).toBe("640 nobody:nogroup");
	});

	it("keep bytes that are no text in any encoding", async () => {
		await onVm(`mkdir -p ${ROOT} && printf '\\377\\376 x\\n\\200\\n' >${PATH}`);
		await apply(ours);
		expect(await bytes()).toBe(`\u00ff\u00fe x\n\u0080\n${OURS}\n`);
	});

	it("are no change where they are as declared: nobody is notified, and the file is not written", async () => {
		await write(`${OURS}\n`);
		const inode = await onVm(`stat -c %i ${PATH}`);
		const state = await apply(ours);
		expect(await onVm(`stat -c %i ${PATH}`)).toBe(inode);
		expect(state["revisions"] as object).not.toHaveProperty("keys");
		expect(
			FileSet.diff({ ...state, ...(await read(state)), owed: [] }, await inputs({ other: file("1\n") }, ours)),
		).toEqual({});
	});

	it.each([
		["edited", `sed -i s/AAAAnew/AAAAold/ ${PATH}`, "present"],
		["gone", `sed -i /program/d ${PATH}`, "present"],
		["there twice", `sed -i p ${PATH}`, "present"],
	])("that are %s by hand are drift, and are put right", async (_, edit, key) => {
		await write(`theirs\n${OURS}\n`);
		const state = await apply(ours);
		await settle();
		await onVm(edit);
		const drifted = { ...state, ...(await read(state)) };
		expect(Object.keys(FileSet.diff(drifted, await inputs({ other: file("1\n") }, ours)))).toEqual([
			`lines["${PATH}"].${key}`,
		]);
		await update(drifted, { other: file("1\n") }, ours);
		expect((await bytes()).split("\n").filter((line) => line === OURS)).toHaveLength(1);
		expect((await read(state)).owed).toEqual(["keys"]);
	});

	it("that must not be there are drift when they come back", async () => {
		const none = lines({ absent: [{ text: "0 3 * * 0 collect" }] });
		await write("1 * * * * theirs\n");
		const state = await apply(none);
		await onVm(`echo '0 3 * * 0 collect' >>${PATH}`);
		const drifted = { ...state, ...(await read(state)), owed: [] };
		expect(Object.keys(FileSet.diff(drifted, await inputs({ other: file("1\n") }, none)))).toEqual([
			`lines["${PATH}"].absent`,
		]);
		await update(drifted, { other: file("1\n") }, none);
		expect(await bytes()).toBe("1 * * * * theirs\n");
	});

	it("that must not be there are found by a pattern, too; comments are left alone", async () => {
		await write("0 3 * * 0 docker exec a gc -m\n# 0 3 * * 0 docker exec a gc -m\n5 3 * * 0 docker exec b gc\n");
		await apply(lines({ absent: [{ pattern: "exec \\w+ gc -m$" }] }));
		expect(await bytes()).toBe("# 0 3 * * 0 docker exec a gc -m\n5 3 * * 0 docker exec b gc\n");
	});

	it("are put into a file that does not exist yet, for root alone; where none has to be there, none is made", async () => {
		await apply(lines({ absent: [{ text: "x" }] }));
		expect(await onVm(`ls ${ROOT}`)).toBe("other");
		await apply(ours);
		expect(await onVm(`stat -c '%a %U:%G' ${PATH}; cat ${PATH}`)).toBe(`600 root:root\n${OURS}`);
	});

	it("stay when they are no longer declared, and when the set is deleted", async () => {
		await write("theirs\n");
		const state = await apply(ours);
		const without = await update(state, { other: file("1\n") });
		expect(await bytes()).toBe(`theirs\n${OURS}\n`);
		await FileSet.delete("fileset-test", without, context);
		expect(await bytes()).toBe(`theirs\n${OURS}\n`);
	});

	it("are not written over what somebody changes at the same time", async () => {
		await write("theirs\n");
		const preconditions = [{ script: `echo new >>${PATH}`, problem: "x", advice: "x" }];
		await expect(apply({ ...ours, preconditions })).rejects.toThrow(
			/keys, of which a part is declared, was changed by somebody else just now; run again/,
		);
		expect(await bytes()).toBe("theirs\nnew\n");
	});

	it.each([
		[
			"a link",
			"ln -s /etc/hostname keys",
			/keys is a symlink to \/etc\/hostname, and only lines of a file are declared/,
		],
		["a folder", "mkdir keys", /keys is a directory, and only lines of a file are declared/],
	])("are not put into %s", async (_, make, message) => {
		await onVm(`mkdir -p ${ROOT} && cd ${ROOT} && ${make}`);
		await expect(apply(ours)).rejects.toThrow(message);
	});
});

describe("settle, generations and revisions", () => {
	const command = (words: string) => onVm(`sh /var/lib/pulumi-host/fileset.sh ${words}`);

	it("are commands on the host that other programs may call", async () => {
		const state = await create({ a: file("1\n"), b: file("1\n", { notify: ["db"] }) });
		const revisions = state["revisions"] as Record<string, string>;
		expect(await command("revisions fileset-test")).toBe(`db=${revisions["db"]}\nweb=${revisions["web"]}`);
		await command(`settle fileset-test web=${revisions["web"]}`);
		expect((await read(state)).owed).toEqual(["db"]);
		expect(await command("generations fileset-test")).toBe(`${revisions["web"]}\t${ROOT}/a ${ROOT}/b `);
	});
});

describe("a clock that was ahead and was set right", () => {
	it("stops neither an update nor going back, and what comes later still sorts later", async () => {
		const old = await create({ a: file("1\n") });
		await settle();
		const ahead = "29990101T000000.000Z";
		await onVm(
			`cd /var/lib/pulumi-host/fileset-test && mv generations/* generations/${ahead} && echo ${ahead} >revisions/web && echo ${ahead} >verified/web`,
		);
		const second = await update(old, { a: file("2\n") });
		const third = await update(second, { a: file("3\n") });
		const seen = [ahead, second.revisions["web"] as string, third.revisions["web"] as string];
		expect([...seen].sort()).toEqual(seen);
		expect(new Set(seen).size).toBe(3);
		expect(await onVm("sh /var/lib/pulumi-host/fileset.sh undo fileset-test")).toBe(`${ROOT}/a`);
		expect(await onVm(`cat ${ROOT}/a`)).toBe("1");
	});
});

describe("undo", () => {
	const undo = (...args: string[]) => onVm(`sh /var/lib/pulumi-host/fileset.sh undo fileset-test ${args.join(" ")}`);

	it("puts back content, mode, owner and links, brings back what was removed, and removes what was added", async () => {
		const first = { a: file("1\n", { mode: "0600", owner: "nobody:nogroup" }), gone: file("1\n") };
		const state = await create(first);
		await settle();
		await onVm(`ln -s /etc/hostname ${ROOT}/link`);
		const before = await everything();
		const second = await update(state, { a: file("2\n"), link: file("2\n"), added: file("2\n") });
		await update(second, { a: file("3\n"), link: file("3\n") });
		expect((await undo()).split("\n").sort()).toEqual(["a", "added", "gone", "link"].map((name) => `${ROOT}/${name}`));
		expect(await everything()).toBe(before);
		expect(await onVm(`readlink ${ROOT}/link`)).toBe("/etc/hostname");
		expect((await read(state)).owed).toEqual(["web"]);
	});

	it("goes back before the generation that is named, and no further", async () => {
		const state = await create({ a: file("1\n") });
		const second = await update(state, { a: file("2\n") });
		const third = await update(second, { a: file("3\n") });
		await undo(third.revisions["web"] as string);
		expect(await onVm(`cat ${ROOT}/a`)).toBe("2");
	});

	it("keeps the last five generations", async () => {
		let state: Properties = await create({ a: file("0\n") });
		for (let i = 1; i <= 6; i++) state = await update(state, { a: file(`${i}\n`) });
		expect(await onVm("sh /var/lib/pulumi-host/fileset.sh generations fileset-test | wc -l")).toBe("5");
	});

	it("goes back to what the first apply found, where nothing was ever verified", async () => {
		await onVm(`mkdir -p ${ROOT} && echo found >${ROOT}/a && chmod 640 ${ROOT}/a`);
		const state = await create({ a: file("1\n"), b: file("1\n") });
		await update(state, { a: file("2\n"), b: file("2\n") });
		expect(await onVm("sh /var/lib/pulumi-host/fileset.sh undo fileset-test")).toBe(`${ROOT}/a\n${ROOT}/b`);
		expect(await onVm(`ls ${ROOT}; cat ${ROOT}/a; stat -c %a ${ROOT}/a`)).toBe("a\nfound\n640");
	});

	it("refuses where the first apply found nothing, whatever later ones replaced, and changes nothing", async () => {
		const state = await create({ a: file("1\n") });
		await update(state, { a: file("2\n") });
		await expect(onVm("sh /var/lib/pulumi-host/fileset.sh undo fileset-test")).rejects.toThrow(/nothing to go back to/);
		expect(await onVm(`cat ${ROOT}/a`)).toBe("2");
	});

	it("refuses where nothing was ever verified, and changes nothing", async () => {
		await create({ a: file("1\n") });
		await expect(undo()).rejects.toThrow(/nothing was ever verified/);
		expect(await onVm(`cat ${ROOT}/a`)).toBe("1");
	});
});

describe("nothing changes when", () => {
	const refused = async (state: Properties, files: Record<string, object>, more: object, message: RegExp) => {
		const before = await everything();
		const records = await onVm("cat /var/lib/pulumi-host/fileset-test/revisions/*");
		await expect(update(state, files, more)).rejects.toThrow(message);
		expect(await everything()).toBe(before);
		expect(await onVm("cat /var/lib/pulumi-host/fileset-test/revisions/*")).toBe(records);
		expect(
			await onVm("ls -A /var/lib/pulumi-host/fileset-test; ls /var/lib/pulumi-host/fileset-test/generations | wc -l"),
		).toBe("generations\nrevisions\n1");
	};
	const old = { a: file("1\n"), b: file("1\n") };
	const changed = { a: file("2\n"), b: file("2\n"), "new/c": file("2\n") };

	it("a precondition fails, and the advice is given", async () => {
		const preconditions = [
			{ script: "echo no such thing; false", problem: "it is not there", advice: "install the thing" },
		];
		await refused(
			await create(old),
			changed,
			{ preconditions },
			/127\.0\.0\.1 was not changed: it is not there; install the thing \(no such thing/,
		);
	});

	it("a check refuses, and what it said is told with the real path", async () => {
		const checks = [
			{
				name: "the judge refuses b",
				script: `f=$(staged ${ROOT}/b); grep -q 1 "$f" || { echo "$f: bad"; exit 1; }`,
				files: [`${ROOT}/b`],
			},
		];
		await refused(await create(old), changed, { checks }, new RegExp(`the judge refuses b: ${ROOT}/b: bad`));
	});

	it("a check's first command fails, though its last would not", async () => {
		const checks = [{ name: "strict", script: "false\ntrue", files: [`${ROOT}/b`] }];
		await refused(await create(old), changed, { checks }, /strict/);
	});

	it("a directory is where a file is declared", async () => {
		const state = await create(old);
		await onVm(`mkdir ${ROOT}/new ${ROOT}/new/c`);
		await refused(state, changed, {}, /new\/c is a directory, and a file is declared there; move it away/);
	});

	it.each([
		["a FIFO", "mkfifo", "fifo"],
		["a device", "mknod", "character special file"],
	])("%s is where a file is declared", async (_, make, kind) => {
		const state = await create(old);
		await onVm(`mkdir ${ROOT}/new && ${make} ${ROOT}/new/c ${make === "mknod" ? "c 1 3" : ""}`);
		await refused(state, changed, {}, new RegExp(`new/c is a ${kind}, and a file is declared there; move it away`));
	});

	it("an owner does not exist", async () => {
		await refused(await create(old), { ...changed, b: file("2\n", { owner: "nosuchuser:root" }) }, {}, /nosuchuser/);
	});

	it("a file is immutable, and the message says how to change that", async () => {
		// On a file system that has such a thing.
		const folder = (await onVm("mktemp -d /var/tmp/immutable.XXXXXX")).trim();
		try {
			await onVm(`echo 1 >${folder}/locked && chattr +i ${folder}/locked`);
			const declared = { ...(await inputs({ a: file("1\n") })) };
			const files = { ...(declared["files"] as object), [`${folder}/locked`]: file("2\n") };
			await expect(FileSet.create({ ...declared, files }, context)).rejects.toThrow(
				`was not changed: ${folder}/locked is immutable, so it can't be replaced; take that away: chattr -i ${folder}/locked`,
			);
			expect(await onVm(`cat ${folder}/locked; ls ${ROOT} 2>/dev/null || true`)).toBe("1");
			expect(await onVm("ls -d /var/lib/pulumi-host/fileset-test 2>/dev/null || true")).toBe(""); // Nothing is owed either.
		} finally {
			await onVm(`chattr -i ${folder}/locked; rm -r ${folder}`);
		}
	});

	it("another update holds the lock", async () => {
		const state = await create(old);
		await onVm(updateAtWork);
		await refused(state, changed, {}, /another update of these files is running on this host \(pid \d+\)/);
		await onVm(`kill $(cut -d ' ' -f 1 ${LOCK}); rm ${LOCK}`);
	});

	it("the disk is full", async () => {
		const state = await create({ ...old, "small/d": file("1\n") });
		await onVm(
			`rm -r ${ROOT}/small && mkdir ${ROOT}/small && mount -t tmpfs -o size=64k tmpfs ${ROOT}/small && echo 1 >${ROOT}/small/d`,
		);
		await refused(state, { ...changed, "small/d": file("x".repeat(200_000)) }, {}, /No space left on device/);
	});

	it("the file system is read-only", async () => {
		const state = await create({ ...old, "small/d": file("1\n") });
		await onVm(`mount -t tmpfs tmpfs ${ROOT}/small && echo 1 >${ROOT}/small/d && mount -o remount,ro ${ROOT}/small`);
		await refused(state, { ...changed, "small/d": file("2\n") }, {}, /Read-only file system/);
	});
});

describe("a read beside an update of the same files", () => {
	it("waits until that has ended, and sees what it left", async () => {
		const state = await create({ a: file("1\n"), b: file("1\n") });
		const script = "while [ ! -e /run/fileset-test-go ]; do sleep 0.1; done";
		const slow = { checks: [{ name: "slow", script, files: [`${ROOT}/a`] }] };
		const files = { a: file("2\n"), b: file("2\n") };
		const updating = update(state, files, slow);
		await onVm("until [ -e /var/lib/pulumi-host/fileset-test/journal ]; do sleep 0.1; done");
		const reading = read(state);
		// A command that was begun later ends before it.
		expect(await Promise.race([reading, onVm("sleep 1; echo waits")])).toBe("waits");
		await onVm("touch /run/fileset-test-go");
		await updating;
		const live = await reading;
		await onVm("rm /run/fileset-test-go");
		expect(live.interrupted).toBe(false);
		expect(live.files).toEqual((await inputs(files))["files"]);
	});

	it("that does not end is an error that names it", async () => {
		const state = await create({ a: file("1\n") });
		await onVm(updateAtWork);
		await expect(read(state)).rejects.toThrow(/another update of these files is running on this host \(pid \d+\)/);
		await onVm(`kill $(cut -d ' ' -f 1 ${LOCK}); rm ${LOCK}`);
	});
});

describe("a failure in the middle of the renames", () => {
	it("puts back what was already renamed", async () => {
		const state = await create({ a: file("1\n"), b: file("1\n"), c: file("1\n") });
		// A file that is a mount point can be staged beside, but not renamed onto.
		await onVm(`touch /tmp/mounted && mount --bind /tmp/mounted ${ROOT}/b`);
		const before = await everything();
		await expect(update(state, { a: file("2\n"), b: file("2\n"), c: file("2\n") })).rejects.toThrow(
			/b can't be replaced; everything is as it was/,
		);
		expect(await everything()).toBe(before);
	});
});

describe("what an earlier run left", () => {
	it.each([
		["of a process that is gone", "999999 1"],
		["whose number is another program's now", "1 99999999999"],
		["that was never written whole", ""],
	])("a lock %s stops neither a read nor the next update", async (_, lock) => {
		const state = await create({ a: file("1\n") });
		await onVm(`printf '%s' '${lock}' >${LOCK}`);
		await read(state);
		await update(state, { a: file("2\n") });
		expect(await onVm(`cat ${ROOT}/a; ls ${LOCK} 2>/dev/null || true`)).toBe("2");
	});

	it("staged files are reported, and cleared by the next update", async () => {
		const files = { a: file("1\n") };
		const state = await create(files);
		await onVm(
			`cd ${ROOT} && echo half >.a.staged && echo ${ROOT}/.a.staged >/var/lib/pulumi-host/fileset-test/journal`,
		);
		const found = await read(state);
		expect(found.interrupted).toBe(true);
		await update({ ...state, ...found }, files);
		expect((await read(state)).interrupted).toBe(false);
		expect(await onVm(`ls -A ${ROOT}`)).toBe("a");
	});
});

describe("delete", () => {
	it("removes the files and the records, and nothing else", async () => {
		const state = await create({ a: file("1\n") });
		await onVm(`echo mine >${ROOT}/other`);
		await FileSet.delete("fileset-test", state, context);
		expect(await onVm(`ls -A ${ROOT}; ls -d /var/lib/pulumi-host/fileset-test 2>&1 || true`)).toMatch(
			/^other\nls: cannot access/,
		);
	});
});

describe("a host that can't be trusted or reached", () => {
	it.each([
		[
			"an unreachable one",
			{ port: 1 },
			/host 127\.0\.0\.1 \(port 1\) can't be reached: .*ECONNREFUSED.*is the host up/,
		],
		[
			"another host key",
			{ hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl7nqVg5cDjSM2M0dmwFw0QvJ8hyjzv0yYbbyDGnPsj" },
			/shows the host key SHA256:\S+, but SHA256:\S+ is pinned; nothing was sent/,
		],
		[
			"a host key of a type it does not have",
			{
				hostKey:
					"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
			},
			/no host key of the pinned type/,
		],
		["a user it does not let in", { user: "somebody" }, /refuses the login of somebody/],
		[
			"a private key that is none",
			{ privateKey: "-----BEGIN OPENSSH PRIVATE KEY-----\nx" },
			/is the private key in the stack's config whole/,
		],
	])("%s is refused in words", async (_, change, message) => {
		const bad = { ...(await inputs({ a: file("1\n") })), connection: { ...(await connection()), ...change } };
		await expect(FileSet.create(bad, context)).rejects.toThrow(message);
		expect(await onVm(`ls ${ROOT} 2>&1 || true`)).toContain("No such file");
	});
});

describe("a part of somebody else's file", () => {
	const TEXT = "# theirs\nnet:\n  a: {x: 1,   y: [1]} # kept\n  b: {x: 1}\n";
	const theirs = (text = TEXT) =>
		onVm(`mkdir -p ${ROOT} && printf '%s' '${text}' >${ROOT}/net.yaml && chmod 644 ${ROOT}/net.yaml`);
	const part = (content: string, more: object = {}) => ({
		"net.yaml": file(content, { yamlPath: ["net", "a"], ...more }),
		own: file("1\n"),
	});
	const text = () => onVm(`cat ${ROOT}/net.yaml`);

	it("is changed, read and compared on its own; the rest stays, to the byte", async () => {
		await theirs();
		const state = await create(part("y:\n  - 2\n"));
		expect(`${await text()}\n`).toBe(TEXT.replace("[1]", "[2]"));
		expect(FileSet.diff({ ...state, ...(await read(state)), owed: [] }, await inputs(part("y:\n  - 2\n")))).toEqual({});
		await onVm(`sed -i -e 's/x: 1}/x: 9}/' -e 's/\\[2\\]/[3]/' ${ROOT}/net.yaml`);
		const drifted = await read(state);
		expect(Object.keys(FileSet.diff({ ...drifted, owed: [] }, await inputs(part("y:\n  - 2\n"))))).toEqual([
			`files["${ROOT}/net.yaml"].content`,
		]);
		await update(state, part("y:\n  - 2\n"));
		expect(`${await text()}\n`).toBe(TEXT.replace("[1]", "[2]").replace("b: {x: 1}", "b: {x: 9}"));
	});

	it("is given up without a change when it is no longer declared, or the set is deleted", async () => {
		await theirs();
		const state = await create(part("y:\n  - 2\n"));
		const changed = await text();
		await update(state, { own: file("1\n") });
		expect(await text()).toBe(changed);
		await FileSet.delete("fileset-test", state, context);
		expect(await text()).toBe(changed);
		expect(await onVm(`ls ${ROOT}`)).toBe("net.yaml");
	});

	it("is not written over what somebody changes at the same time", async () => {
		await theirs();
		const meanwhile = { script: `echo '# new' >>${ROOT}/net.yaml`, problem: "x", advice: "x" };
		await expect(create(part("y:\n  - 2\n"), { preconditions: [meanwhile] })).rejects.toThrow(
			/was not changed: .*net\.yaml, of which a part is declared, was changed by somebody else just now; run again/,
		);
		expect(`${await text()}\n`).toBe(`${TEXT}# new\n`);
		expect(await onVm(`ls ${ROOT}`)).toBe("net.yaml");
	});

	it.each([
		["a file that is not there", "rm net.yaml", /net\.yaml is not a file, and only a part of it is declared/],
		["a link", "mv net.yaml real.yaml && ln -s real.yaml net.yaml", /net\.yaml is not a file/],
		["what is no YAML", "echo 'a: [' >net.yaml", /net\.yaml: it is not YAML/],
		["what has no place for it", "echo 'other: 1' >net.yaml", /net\.yaml: it has no net$/],
	])("is not made of %s", async (_, spoil, message) => {
		await theirs();
		await onVm(`cd ${ROOT} && ${spoil}`);
		const before = await everything();
		await expect(create(part("y:\n  - 2\n"))).rejects.toThrow(message);
		expect(await everything()).toBe(before);
	});
});
