/** `host:index:FileSet`: the managed files of one host, read, compared and replaced as one. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import tar from "tar-stream";
import {
	type FileSetDeclaration,
	type FileSetState,
	fileSetInputs,
	type ManagedFile,
	type ManagedLines,
} from "./fileSetSchema.ts";
import { type Context, type Diff, type Properties, type ResourceType, UNKNOWN } from "./protocol.ts";
import { quote } from "./shell.ts";
import { type Connection, ConnectionError, exec, parseHostKey } from "./ssh.ts";
import { type TarEntry, tarball } from "./tarball.ts";
import { goingLines, readLines, writeLines } from "./textLines.ts";
import { readPart, writePart, YamlPartError } from "./yamlPart.ts";

const farSide = readFileSync(new URL("sh/fileset.sh", import.meta.url), "utf8");

export const FileSet: ResourceType = {
	check(inputs) {
		const failures: Record<string, string> = {};
		// An input that is an output of another resource is unknown in a preview; the engine checks it again when it is known.
		const result = fileSetInputs.safeParse(inputs, { reportInput: true });
		for (const issue of result.error?.issues ?? []) {
			if (issue.input === UNKNOWN) continue;
			const problems = issue.code === "invalid_key" ? issue.issues.map(({ message }) => message) : [issue.message];
			failures[issue.path.join(".")] = `${issue.path.join(".")} ${problems.join("; it ")}`;
		}
		const hostKey = result.data?.connection.hostKey;
		if (hostKey !== undefined && hostKey !== UNKNOWN) {
			try {
				parseHostKey(hostKey);
			} catch (error) {
				failures["connection.hostKey"] = (error as Error).message;
			}
		}
		const paths = new Set(Object.keys(result.data?.files ?? {}));
		for (const path of Object.keys(result.data?.lines ?? {}))
			if (paths.has(path)) failures[`lines.${path}`] = `lines.${path} is declared in files, too; it can be one of them`;
		return { inputs: result.data ?? { ...DEFAULTS, ...inputs }, failures };
	},

	diff(state, inputs) {
		// A refresh compares with the inputs of the last update, which may be of 0.1, too.
		const [old, wanted] = [fromState(state), fromState(inputs)];
		const diff: Diff = {};
		for (const key of ["name", "connection", "preconditions", "checks", "beforeActivation"] as const) {
			if (!isDeepStrictEqual(old[key], wanted[key])) diff[key] = key === "name" ? "update-replace" : "update";
		}
		Object.assign(
			diff,
			diffEntries("files", old.files, wanted.files, ["content", "mode", "owner", "notify", "yamlPath"]),
			diffEntries("lines", old.lines, wanted.lines, ["present", "absent", "notify"]),
			diffEntries("conditions", old.conditions, wanted.conditions, ["state", "script", "args", "notify"]),
		);
		if (old.owed.length > 0) diff["owed"] = "delete";
		if (old.interrupted) diff["interrupted"] = "delete";
		if (old.unreachable !== "") diff["unreachable"] = "update";
		return diff;
	},

	async create(inputs, context) {
		const wanted = inputs as unknown as FileSetDeclaration;
		const nothing = { files: {}, lines: {}, revisions: {} };
		const conditions = groupsOf(Object.values(wanted.conditions));
		const groups = [...new Set([...groupsOf(entriesOf(wanted)), ...conditions])];
		if (context.preview && wanted.connection.privateKey !== UNKNOWN) await announceFound(wanted, context);
		return { id: wanted.name, state: await apply(wanted, nothing, groups, conditions, context) };
	},

	async read(_id, state) {
		const old = fromState(state);
		const live = await look(old).catch((error: unknown) => {
			// Not an error, which would stop all other hosts; and not silence: a difference that no preview calls clean.
			if (error instanceof ConnectionError) return { ...old, unreachable: error.message };
			throw error;
		});
		const { revisions: _r, owed: _o, interrupted: _i, unreachable: _u, ...inputs } = live;
		return { state: live as unknown as Properties, inputs };
	},

	async update(_id, state, inputs, context) {
		const wanted = inputs as unknown as FileSetDeclaration;
		let old = fromState(state);
		if (old.unreachable !== "" || !isDeepStrictEqual(old.connection, wanted.connection)) {
			// The address, the host key or the login key may be what was wrong: look again, as it is declared now.
			try {
				old = await look({ ...old, connection: wanted.connection });
			} catch (error) {
				if (!(error instanceof ConnectionError)) throw error;
				const effect = context.preview
					? "can't be looked at"
					: "was not changed; run the same update again once it is up";
				context.log("warning", `${error.message}. It ${effect}`);
				return { ...old, unreachable: error.message };
			}
		}
		const conditions = violated(old, wanted).map(([, condition]) => condition);
		const never = groupsOf(Object.values(wanted.conditions)).filter((group) => old.revisions[group] === undefined);
		const owed = [...new Set([...old.owed, ...groupsOf(conditions), ...never])];
		const changed = groupsOf(changedEntries(old, wanted).map(([, entry]) => entry));
		if (context.preview) for (const sentence of await announce(old, wanted)) context.log("info", sentence);
		return await apply(wanted, old, [...new Set([...changed, ...owed])], owed, context);
	},

	async delete(_id, state) {
		const old = fromState(state);
		const paths = wholeFiles(old.files).map(([p]) => `${p}\n`);
		await run(old.connection, ["delete", old.name], paths.join(""), `removing the files from ${old.connection.host}`);
	},
};

const DEFAULTS = { preconditions: [], checks: [], beforeActivation: [], conditions: {}, files: {}, lines: {} };

/** A state of this version, or of 0.1, which called them `run`, `reaction` and `within`. */
function fromState(state: Properties): FileSetState {
	const renamed = (value: unknown): unknown => {
		if (Array.isArray(value)) return value.map(renamed);
		const { run, reaction, within, ...rest } = value as Properties;
		return {
			...rest,
			...(run !== undefined && { script: run }),
			...(reaction !== undefined && { effect: reaction }),
			...(within !== undefined && { yamlPath: within }),
		};
	};
	const renamedEach = (entries: unknown) =>
		Object.fromEntries(Object.entries((entries ?? {}) as Properties).map(([key, value]) => [key, renamed(value)]));
	return {
		...DEFAULTS,
		unreachable: "",
		...state,
		preconditions: renamed(state["preconditions"] ?? []),
		checks: renamed(state["checks"] ?? []),
		files: renamedEach(state["files"]),
		conditions: renamedEach(state["conditions"]),
	} as unknown as FileSetState;
}

/** What is really on the host of what the state declares. Throws a ConnectionError where it can't be reached. */
async function look(old: FileSetState): Promise<FileSetState> {
	const conditions = Object.entries(old.conditions);
	const paths = [...Object.keys(old.files), ...Object.keys(old.lines)];
	const question = await tarball([
		entry("paths", rows(paths.map((path) => [path]))),
		...scripts(
			"conditions",
			conditions.map(([name, condition]) => ({ ...condition, fields: [name] })),
		),
	]);
	const answer = await run(old.connection, ["read", old.name], question, `reading ${old.connection.host}`);
	const found = await unpack(answer);
	const records = `/var/lib/pulumi-host/${old.name}`;
	const observed = (i: number) =>
		[...found].find(([name]) => /^\/run\/[^/]+\/observed\/\d+$/.test(name) && name.endsWith(`/${i}`))?.[1];

	const files = Object.entries(old.files).flatMap(([path, declared]): [string, ManagedFile][] => {
		const live = found.get(path);
		if (live === undefined) return [];
		return [[path, { ...declared, content: declaredContent(declared, live), mode: live.mode, owner: live.owner }]];
	});
	const lines = Object.entries(old.lines).map(([path, declared]): [string, ManagedLines] => {
		const live = found.get(path);
		if (live?.isFile === false) return [path, { ...declared, present: [], absent: [] }];
		return [path, { ...declared, ...readLines(live?.bytes.toString("latin1") ?? "", declared) }];
	});
	const recorded = (kind: string): Record<string, string> =>
		Object.fromEntries(
			[...found]
				.filter(([name]) => name.startsWith(`${records}/${kind}/`))
				.map(([name, { bytes }]) => [name.slice(`${records}/${kind}/`.length), bytes.toString().trim()]),
		);
	const [revisions, verified] = [recorded("revisions"), recorded("verified")];
	return {
		...old,
		files: Object.fromEntries(files),
		lines: Object.fromEntries(lines),
		conditions: Object.fromEntries(
			conditions.map(([name, condition], i) => [name, { ...condition, state: observed(i)?.bytes.toString() ?? "" }]),
		),
		revisions,
		owed: Object.keys(revisions).filter((name) => revisions[name] !== verified[name]),
		interrupted: found.has(`${records}/journal`),
		unreachable: "",
	};
}

/** Compares two records entry by entry, in the keys that count. */
function diffEntries<Entry extends object>(
	property: string,
	old: Record<string, Entry>,
	wanted: Record<string, Entry>,
	keys: (keyof Entry & string)[],
): Diff {
	const diff: Diff = {};
	for (const name of new Set([...Object.keys(old), ...Object.keys(wanted)])) {
		const [was, will] = [old[name], wanted[name]];
		const at = `${property}[${JSON.stringify(name)}]`;
		if (was === undefined) diff[at] = "add";
		else if (will === undefined) diff[at] = "delete";
		else for (const key of keys) if (!isDeepStrictEqual(was[key], will[key])) diff[`${at}.${key}`] = "update";
	}
	return diff;
}

type Entry = ManagedFile | ManagedLines;

function groupsOf(entries: { notify: string[] }[]): string[] {
	return [...new Set(entries.flatMap(({ notify }) => notify))].sort();
}

function entriesOf({ files, lines }: Pick<FileSetDeclaration, "files" | "lines">): Entry[] {
	return [...Object.values(files), ...Object.values(lines)];
}

/** What differs: path, and the declaration that counts, which is the old one where the file goes. */
function changedEntries(
	old: Pick<FileSetState, "files" | "lines">,
	wanted: FileSetDeclaration,
): [path: string, entry: Entry][] {
	const files = [...new Set([...Object.keys(old.files), ...Object.keys(wanted.files)])].flatMap(
		(path): [string, Entry][] => {
			const [was, will] = [old.files[path], wanted.files[path]];
			const same = was?.content === will?.content && was?.mode === will?.mode && was?.owner === will?.owner;
			const counts = will ?? was;
			return same || counts === undefined ? [] : [[path, counts]];
		},
	);
	const lines = Object.entries(wanted.lines).filter(([path, { present, absent }]) => {
		const was = old.lines[path];
		return !isDeepStrictEqual([was?.present, was?.absent], [present, absent]);
	});
	return [...files, ...lines];
}

/** The conditions that do not hold on the host. */
function violated(
	old: FileSetState,
	wanted: FileSetDeclaration,
): [name: string, condition: FileSetDeclaration["conditions"][string]][] {
	return Object.entries(wanted.conditions).filter(([name, { state }]) => {
		const was = old.conditions[name];
		return was !== undefined && was.state !== state;
	});
}

/** What an update will do and why, a sentence each. */
async function announce(old: FileSetState, wanted: FileSetDeclaration): Promise<string[]> {
	const how = (path: string) => {
		if (wanted.lines[path] !== undefined) return "has lines that differ";
		if (old.files[path] === undefined) return "is new";
		return wanted.files[path] === undefined ? "goes" : "differs";
	};
	const changed = changedEntries(old, wanted);
	return [
		...changed.map(([path, entry]) => {
			const goes = how(path) === "goes" && "removalEffect" in entry ? entry.removalEffect : undefined;
			return `${path} ${how(path)}: ${goes ?? entry.effect}`;
		}),
		...(await announceGoing(
			wanted,
			changed.map(([path]) => path),
		)),
		...violated(old, wanted).map(([name, { state, effect }]) => {
			const differences = listDifferences(old.conditions[name]?.state ?? "", state);
			return `${name} not as declared (${differences}): ${effect}`;
		}),
		...(old.owed.length > 0
			? [`an earlier run ended before the restart that it owed (${old.owed.join(", ")}): it is done now`]
			: []),
	];
}

/** Each line that goes from one of the files of which lines are declared, as it is there. */
async function announceGoing({ name, connection, lines }: FileSetDeclaration, paths: string[]): Promise<string[]> {
	const declared = paths.flatMap((path) => (lines[path] ? [[path, lines[path]] as const] : []));
	if (declared.length === 0) return [];
	const found = await readLive(
		{ name, connection },
		declared.map(([path]) => path),
		`reading ${connection.host}`,
	);
	return declared.flatMap(([path, one]) =>
		goingLines(found.get(path)?.bytes.toString("latin1") ?? "", one).map((text) => `${path}: the line "${text}" goes`),
	);
}

/**
 * Before the first update of a host: what is there already, and what becomes of it. The host is only looked at. Never
 * fails: what could not be looked at is said.
 */
async function announceFound(wanted: FileSetDeclaration, context: Context): Promise<void> {
	const { connection, preconditions } = wanted;
	const HOLDS = "holds\n";
	const before = preconditions.map(({ script, args }, i): [string, FileSetState["conditions"][string]] => [
		`precondition ${i}`,
		{
			// Its exit status is what counts; what it prints is not.
			script: `exec 3>&1 >/dev/null 2>&1\ntrap '[ $? -ne 0 ] || echo holds >&3' EXIT\n${script}`,
			args,
			...{ state: HOLDS, notify: [], effect: "" },
		},
	]);
	const asked = { ...wanted, conditions: { ...Object.fromEntries(before), ...wanted.conditions } };
	try {
		const live = await look({ ...asked, revisions: {}, owed: [], interrupted: false, unreachable: "" });
		const there = { ...wanted, files: Object.fromEntries(wholeFiles(live.files)) };
		const replaced = changedEntries(there, wanted).filter(([path]) => there.files[path] !== undefined);
		const going = await announceGoing(wanted, Object.keys(wanted.lines));
		const strange = Object.entries(wanted.conditions).flatMap(([name, { state, effect }]) => {
			const found = linesOf(live.conditions[name]?.state ?? "").filter((line) => !linesOf(state).includes(line));
			return found.length > 0 ? [`${name}: found ${found.join(", ")}: ${effect}`] : [];
		});
		const lacking = preconditions.filter((_, i) => !live.conditions[`precondition ${i}`]?.state.endsWith(HOLDS));
		const sentences = [
			...replaced.map(([path, { effect }]) => `${path} is there already, and is replaced; a copy is kept: ${effect}`),
			...going.map((sentence) => `${sentence}; a copy of the file is kept`),
			...strange,
			...lacking.flatMap(({ problem, remedy }) => (remedy ? [`${problem}: the update tries to put that right`] : [])),
		];
		// In one piece, so that they stay in this order.
		if (sentences.length > 0) context.log("info", sentences.join("\n"));
		for (const { problem, advice, remedy } of lacking)
			if (remedy === undefined) context.log("warning", `the update will be refused: ${problem}; ${advice}`);
	} catch (error) {
		const { message } = error as Error;
		context.log("warning", `what is on ${connection.host} already can't be told before the update: ${message}`);
	}
}

/** What one list of lines has that the other has not. */
function listDifferences(found: string, declared: string): string {
	const [there, wanted] = [linesOf(found), linesOf(declared)];
	return [
		...there.filter((line) => !wanted.includes(line)).map((line) => `found: ${line}`),
		...wanted.filter((line) => !there.includes(line)).map((line) => `missing: ${line}`),
	].join("; ");
}

function linesOf(text: string): string[] {
	return text.split("\n").filter(Boolean);
}

async function apply(
	wanted: FileSetDeclaration,
	old: Pick<FileSetState, "files" | "lines" | "revisions">,
	groups: string[],
	owed: string[],
	context: Context,
): Promise<Properties> {
	const settled = { owed: [], interrupted: false, unreachable: "" };
	if (context.preview) {
		const pending = Object.fromEntries(groups.map((name) => [name, UNKNOWN]));
		return { ...wanted, ...settled, revisions: { ...old.revisions, ...pending } };
	}
	const removed = wholeFiles(old.files).filter(([path]) => wanted.files[path] === undefined);
	const archive = await pack(wanted, removed, owed);
	const answer = await run(
		wanted.connection,
		["apply", wanted.name],
		archive,
		`host ${wanted.connection.host} was not changed`,
	);
	const lines = answer
		.toString()
		.split("\n")
		.map((line) => line.split("\t"));
	for (const [kind, what] of lines) if (kind === "remedied") context.log("info", `${wanted.connection.host}: ${what}`);
	const changed = lines.filter(([kind]) => kind === "changed").map(([, path]) => path);
	if (changed.length > 0) context.log("info", `replaced on ${wanted.connection.host}: ${changed.join(", ")}`);
	const revisions = Object.fromEntries(
		lines.filter(([kind]) => kind === "revisions").map(([, name, value]) => [name, value]),
	);
	return { ...wanted, ...settled, revisions };
}

/** Printed before the script's own output, which begins after it: a login shell may print something first. */
const BEGIN = "pulumi-host: begin\n";

/** Runs an action of fileset.sh; resolves with what it printed. */
async function run(connection: Connection, args: string[], input: Buffer | string, doing: string): Promise<Buffer> {
	const script = Buffer.from(`printf '${BEGIN.replace("\n", "\\n")}'\n${farSide}`);
	// Words that every login shell reads alike, csh and fish too. The script comes first on standard input.
	const command = ["sh", "-c", `'eval "$(head -c ${script.length})"'`, "fileset", ...args].join(" ");
	const { code, stdout, stderr } = await exec(connection, command, Buffer.concat([script, Buffer.from(input)]));
	const begin = stdout.indexOf(BEGIN);
	if (code === 0 && begin !== -1) return stdout.subarray(begin + BEGIN.length);
	const words = stderr.trim().replace(/\.([^/]+)\.staged\b/g, "$1");
	if (begin !== -1) throw new Error(`${doing}: ${words || `the script ended with status ${code}`}`);
	const said = `${stdout.toString().trim()} ${words}`.trim().slice(0, 1000);
	throw new Error(
		`${doing}: the login of ${connection.user} does not run commands (status ${code}); it says: ${said || "nothing"}`,
	);
}

/** Those that are ours as a whole: the others stay when they are no longer declared. */
function wholeFiles(files: FileSetDeclaration["files"]): [path: string, file: ManagedFile][] {
	return Object.entries(files).filter(([, { yamlPath }]) => yamlPath === undefined);
}

/** What is live, as far as it is declared. */
function declaredContent({ yamlPath, content }: ManagedFile, live: LiveFile): string {
	if (yamlPath === undefined || !live.isFile) return live.text;
	try {
		return readPart(live.text, yamlPath, content);
	} catch (error) {
		if (!(error instanceof YamlPartError)) throw error;
		return `(${error.message})\n`;
	}
}

/** A file as it is to be written. */
interface WholeFile {
	path: string;
	content: string | Buffer;
	/** "-" where the one that is live stays. */
	mode: string;
	owner: string;
	notify: string[];
	/** The SHA-256 of what a part was put into, "absent" where there was nothing, "-" where the whole is declared. */
	from: string;
}

/** Where a part is declared, the rest is what is live now. */
async function wholeFilesOf({ name, connection, files, lines }: FileSetDeclaration): Promise<WholeFile[]> {
	const parts = Object.entries(files).filter(([, { yamlPath }]) => yamlPath !== undefined);
	const unchanged = `host ${connection.host} was not changed`;
	const paths = [...parts.map(([path]) => path), ...Object.keys(lines)];
	const found = paths.length > 0 ? await readLive({ name, connection }, paths, unchanged) : new Map<string, LiveFile>();
	const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
	const whole = Object.entries(files).map(([path, { content, mode, owner, notify, yamlPath }]): WholeFile => {
		const file = { path, content, mode: mode.replace(/^0+(?=.)/, ""), owner, notify, from: "-" };
		if (yamlPath === undefined) return file;
		const now = found.get(path);
		if (!now?.isFile) throw new Error(`${unchanged}: ${path} is not a file, and only a part of it is declared`);
		try {
			return { ...file, content: writePart(now.text, yamlPath, content), from: digest(now.bytes) };
		} catch (error) {
			if (!(error instanceof YamlPartError)) throw error;
			throw new Error(`${unchanged}: ${path}: ${error.message}`);
		}
	});
	const ofLines = Object.entries(lines).flatMap(([path, declared]): WholeFile[] => {
		const now = found.get(path);
		if (now?.isFile === false)
			throw new Error(`${unchanged}: ${path} is ${now.text.slice(1, -1)}, and only lines of a file are declared`);
		if (now === undefined && declared.present.length === 0) return [];
		const content = Buffer.from(writeLines(now?.bytes.toString("latin1") ?? "", declared), "latin1");
		const { notify } = declared;
		if (now === undefined) return [{ path, content, mode: "600", owner: "root:root", notify, from: "absent" }];
		return [{ path, content, mode: "-", owner: "-", notify, from: digest(now.bytes) }];
	});
	return [...whole, ...ofLines];
}

/** What is at these paths on the host. */
async function readLive(
	{ name, connection }: Pick<FileSetDeclaration, "name" | "connection">,
	paths: string[],
	doing: string,
): Promise<Map<string, LiveFile>> {
	const question = [entry("paths", rows(paths.map((path) => [path]))), entry("conditions/list", "")];
	return unpack(await run(connection, ["read", name], await tarball(question), doing));
}

/** The tar that `fileset.sh apply` reads. */
async function pack(wanted: FileSetDeclaration, removed: [string, ManagedFile][], owed: string[]): Promise<Buffer> {
	const groups = (notify: string[]) => notify.join(" ") || "-"; // The shell would lose an empty field.
	const files = await wholeFilesOf(wanted);
	const judges = (folder: string, all: FileSetDeclaration["checks"]) => [
		...scripts(
			folder,
			all.map((judge) => ({ ...judge, fields: [judge.name] })),
		),
		...all.map((judge, i) => entry(`${folder}/${i}.files`, rows(judge.files.map((path) => [path])))),
	];
	return tarball([
		entry("fileset.sh", farSide),
		entry(
			"files/list",
			rows(files.map(({ mode, owner, notify, from, path }, i) => [`${i}`, mode, owner, groups(notify), from, path])),
		),
		...files.map(({ content }, i) => entry(`files/${i}`, content)),
		...scripts(
			"preconditions",
			wanted.preconditions.map(({ problem, advice, ...precondition }) => ({
				...precondition,
				fields: [problem, advice],
			})),
		),
		...wanted.preconditions.flatMap(({ remedy, args }, i) =>
			remedy === undefined ? [] : scriptEntries("remedies", i, { script: remedy, args }),
		),
		...judges("checks", wanted.checks),
		...judges("hooks", wanted.beforeActivation),
		entry("removals/list", rows(removed.map(([path, { notify }]) => [groups(notify), path]))),
		entry("owed", rows(owed.map((name) => [name]))),
	]);
}

function entry(name: string, content: string | Buffer): TarEntry {
	return { name, mode: 0o600, content };
}

function rows(table: string[][]): string {
	return table.map((row) => `${row.join("\t")}\n`).join("");
}

interface Script {
	script: string;
	args?: string[] | undefined;
}

/** Numbered scripts in a folder, and the list of what belongs to each. */
function scripts(folder: string, all: (Script & { fields: string[] })[]): TarEntry[] {
	return [
		entry(`${folder}/list`, rows(all.map(({ fields }, i) => [`${i}`, ...fields]))),
		...all.flatMap((one, i) => scriptEntries(folder, i, one)),
	];
}

/** Its text, and its arguments as words that the shell reads as they are, whatever is in them. */
function scriptEntries(folder: string, i: number, { script, args = [] }: Script): TarEntry[] {
	return [entry(`${folder}/${i}`, script), entry(`${folder}/${i}.args`, args.map(quote).join(" "))];
}

interface LiveFile {
	isFile: boolean;
	/** For what is no file, what it is, in parentheses. */
	text: string;
	bytes: Buffer;
	/** Octal, four digits; for what is no file, what it is. */
	mode: string;
	owner: string;
}

async function unpack(archive: Buffer): Promise<Map<string, LiveFile>> {
	const found = new Map<string, LiveFile>();
	const extract = tar.extract();
	extract.end(archive);
	for await (const entry of extract) {
		const { name, type, mode, uname, gname, uid, gid, linkname } = entry.header;
		const chunks: Buffer[] = [];
		for await (const chunk of entry) chunks.push(chunk as Buffer);
		const bytes = Buffer.concat(chunks);
		const isFile = type === "file";
		found.set(name.replace(/\/$/, ""), {
			isFile,
			text: isFile ? bytes.toString() : `(a ${type}${linkname ? ` to ${linkname}` : ""})`,
			bytes,
			mode: isFile ? `0${((mode ?? 0) & 0o7777).toString(8).padStart(3, "0")}` : `${type}`,
			owner: `${uname || uid}:${gname || gid}`,
		});
	}
	return found;
}
