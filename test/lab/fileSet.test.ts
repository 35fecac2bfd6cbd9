/** The FileSet plugin against a real sshd, without the engine. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileSet } from "../../host/fileSet.ts";
import type { Properties } from "../../host/protocol.ts";
import { registryVm } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { onVm } from "./lab.ts";

const ROOT = "/srv/fileset-test";
const context = { urn: "", preview: false, log: () => {} };
const key = (name: string) => readFile(join(paths.keys, name), "utf8");
const connection = async () => ({
	host: "127.0.0.1",
	port: registryVm.sshPort,
	user: "root",
	privateKey: await key("login"),
	hostKey: (await key("host.pub")).trim().split(" ").slice(0, 2).join(" "),
});
const file = (content: string, more: object = {}) => ({
	content,
	mode: "0644",
	owner: "root:root",
	notify: ["web"],
	reaction: "web is restarted",
	...more,
});
const inputs = async (files: Record<string, object>, more: object = {}): Promise<Properties> => ({
	name: "fileset-test",
	connection: await connection(),
	preconditions: [],
	checks: [],
	conditions: {},
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

	it("keeps content to the byte: no newline at the end, quotes, dollar signs, UTF-8, and an empty file", async () => {
		const files = { a: file('it\'s $HOME `date` \\n "x"\tä€'), empty: file("") };
		const state = await create(files);
		expect((await read(state)).files).toEqual((await inputs(files))["files"]);
		expect(FileSet.diff({ ...state, ...(await read(state)), owed: [] }, await inputs(files))).toEqual({});
	});
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
		light: { run: `cat ${ROOT}/light`, state: "on\n", notify: ["web"], reaction: "web is restarted" },
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
			{ run: "echo no such thing; false", problem: "it is not there", advice: "install the thing" },
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
				run: `f=$(staged ${ROOT}/b); grep -q 1 "$f" || { echo "$f: bad"; exit 1; }`,
				files: [`${ROOT}/b`],
			},
		];
		await refused(await create(old), changed, { checks }, new RegExp(`the judge refuses b: ${ROOT}/b: bad`));
	});

	it("a check's first command fails, though its last would not", async () => {
		const checks = [{ name: "strict", run: "false\ntrue", files: [`${ROOT}/b`] }];
		await refused(await create(old), changed, { checks }, /strict/);
	});

	it("a directory is where a file is declared", async () => {
		const state = await create(old);
		await onVm(`mkdir ${ROOT}/new ${ROOT}/new/c`);
		await refused(state, changed, {}, /new\/c is a directory/);
	});

	it("an owner does not exist", async () => {
		await refused(await create(old), { ...changed, b: file("2\n", { owner: "nosuchuser:root" }) }, {}, /nosuchuser/);
	});

	it("the host's clock is behind its last update", async () => {
		const state = await create(old);
		await onVm(
			"mkdir /var/lib/pulumi-host/fileset-test/verified && echo 29990101T000000.000Z >/var/lib/pulumi-host/fileset-test/verified/web",
		);
		await expect(update(state, changed)).rejects.toThrow(/the clock of this host is behind its last update \(2999/);
		expect(await onVm(`cat ${ROOT}/a`)).toBe("1");
	});

	it("another update holds the lock", async () => {
		const state = await create(old);
		await onVm("sleep 60 >/dev/null 2>&1 & echo $! >/run/pulumi-host-fileset-test.lock");
		await refused(state, changed, {}, /another update of these files is running on this host \(pid \d+\)/);
		await onVm("kill $(cat /run/pulumi-host-fileset-test.lock); rm /run/pulumi-host-fileset-test.lock");
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
	it("a stale lock does not stop the next one", async () => {
		const state = await create({ a: file("1\n") });
		await onVm("echo 999999 >/run/pulumi-host-fileset-test.lock");
		await update(state, { a: file("2\n") });
		expect(await onVm(`cat ${ROOT}/a`)).toBe("2");
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
		["a user it does not let in", { user: "nobody" }, /refuses the login of nobody/],
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
		"net.yaml": file(content, { within: ["net", "a"], ...more }),
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
		const meanwhile = { run: `echo '# new' >>${ROOT}/net.yaml`, problem: "x", advice: "x" };
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
