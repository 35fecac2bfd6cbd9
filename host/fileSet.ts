/** `host:index:FileSet`: the managed files of one host, read, compared and replaced as one. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import tar from "tar-stream";
import { z } from "zod";
import { type Context, type Diff, type Properties, type ResourceType, UNKNOWN } from "./protocol.ts";
import { type Connection, exec, parseHostKey } from "./ssh.ts";
import { type TarEntry, tarball } from "./tarball.ts";
import { readPart, writePart, YamlPartError } from "./yamlPart.ts";

const path = z.string().regex(/^(\/[A-Za-z0-9@_][A-Za-z0-9@._-]*)+$/, "is not an absolute path of plain characters");
const group = z.string().regex(/^[a-z][a-z0-9-]*$/, "is not a group name");

const file = z.strictObject({
	content: z.string(),
	mode: z.string().regex(/^0[0-7]{3}$/, 'is not a mode like "0644"'),
	owner: z.string().regex(/^[a-z_][a-z0-9_-]*:[a-z_][a-z0-9_-]*$/, 'is not an owner like "root:root"'),
	notify: z.array(group),
	reaction: z.string().min(1),
	within: z.array(z.string().min(1)).min(2).optional(),
});

const fileSet = z.strictObject({
	name: z.string().regex(/^[a-z][a-z0-9-]*$/, "is not a plain name"),
	connection: z.strictObject({
		host: z.string().min(1),
		port: z.number().int().min(1).max(65535).optional(),
		user: z.string().min(1),
		privateKey: z.string().min(1),
		hostKey: z.string().min(1),
	}),
	preconditions: z.array(
		z.strictObject({
			run: z.string().min(1),
			remedy: z.string().min(1).optional(),
			problem: z.string().min(1),
			advice: z.string().min(1),
		}),
	),
	checks: z.array(z.strictObject({ name: z.string().min(1), run: z.string().min(1), files: z.array(path).min(1) })),
	conditions: z.record(
		z.string().min(1),
		z.strictObject({
			run: z.string().min(1),
			state: z.string(),
			notify: z.array(group).min(1),
			reaction: z.string().min(1),
		}),
	),
	files: z.record(path, file),
});

type Inputs = z.infer<typeof fileSet>;

interface State extends Inputs {
	/** By group: the revision at which one of its files last changed. A new one is what triggers a bounce. */
	revisions: Record<string, string>;
	/** Groups whose last change was never bounced and verified, because a run died in between. */
	owed: string[];
	/** True when an apply was cut off and left staged files behind. */
	interrupted: boolean;
}

const script = readFileSync(new URL("sh/fileset.sh", import.meta.url), "utf8");

export const FileSet: ResourceType = {
	check(inputs) {
		const failures: Record<string, string> = {};
		// What is not known yet can't be judged yet: it is checked again when it is.
		const result = fileSet.safeParse(inputs, { reportInput: true });
		for (const issue of result.error?.issues ?? []) {
			if (issue.input !== UNKNOWN) failures[issue.path.join(".")] = `${issue.path.join(".")} ${issue.message}`;
		}
		const hostKey = result.data?.connection.hostKey;
		if (hostKey !== undefined && hostKey !== UNKNOWN) {
			try {
				parseHostKey(hostKey);
			} catch (error) {
				failures["connection.hostKey"] = (error as Error).message;
			}
		}
		return failures;
	},

	diff(state, inputs) {
		const [old, wanted] = [state as unknown as State, inputs as unknown as Inputs];
		const diff: Diff = {};
		for (const key of ["name", "connection", "preconditions", "checks"] as const) {
			if (!isDeepStrictEqual(old[key], wanted[key])) diff[key] = key === "name" ? "update-replace" : "update";
		}
		Object.assign(
			diff,
			diffEntries("files", old.files, wanted.files, ["content", "mode", "owner", "notify", "within"]),
		);
		Object.assign(diff, diffEntries("conditions", old.conditions, wanted.conditions, ["state", "run", "notify"]));
		if (old.owed.length > 0) diff["owed"] = "delete";
		if (old.interrupted) diff["interrupted"] = "delete";
		return diff;
	},

	async create(inputs, context) {
		const wanted = inputs as unknown as Inputs;
		const groups = groupsOf(Object.values(wanted.files));
		return { id: wanted.name, state: await apply(wanted, { files: {}, revisions: {} }, groups, [], context) };
	},

	async read(_id, state) {
		const old = state as unknown as State;
		const wantedPaths = Object.keys(old.files);
		const conditions = Object.entries(old.conditions);
		const question = await tarball([
			entry("paths", rows(wantedPaths.map((p) => [p]))),
			...scripts(
				"conditions",
				conditions.map(([name, { run }]) => [run, name]),
			),
		]);
		const result = await run(old.connection, ["read", old.name], question, `reading ${old.connection.host}`);
		const found = await unpack(result.stdout);
		const records = `/var/lib/pulumi-host/${old.name}`;
		const observed = (i: number) =>
			[...found].find(([name]) => /^\/run\/[^/]+\/observed\/\d+$/.test(name) && name.endsWith(`/${i}`))?.[1];

		const files: Inputs["files"] = {};
		for (const filePath of wantedPaths) {
			const live = found.get(filePath);
			const declared = old.files[filePath];
			if (live === undefined || declared === undefined) continue;
			files[filePath] = { ...declared, content: declaredContent(declared, live), mode: live.mode, owner: live.owner };
		}
		const recorded = (kind: string): Record<string, string> =>
			Object.fromEntries(
				[...found]
					.filter(([name]) => name.startsWith(`${records}/${kind}/`))
					.map(([name, { content }]) => [name.slice(`${records}/${kind}/`.length), content.trim()]),
			);
		const [revisions, verified] = [recorded("revisions"), recorded("verified")];
		const live: State = {
			...old,
			files,
			conditions: Object.fromEntries(
				conditions.map(([name, condition], i) => [name, { ...condition, state: observed(i)?.content ?? "" }]),
			),
			revisions,
			owed: Object.keys(revisions).filter((name) => revisions[name] !== verified[name]),
			interrupted: found.has(`${records}/journal`),
		};
		const { revisions: _revisions, owed: _owed, interrupted: _interrupted, ...liveInputs } = live;
		return { state: live as unknown as Properties, inputs: liveInputs };
	},

	async update(_id, state, inputs, context) {
		const old = state as unknown as State;
		const wanted = inputs as unknown as Inputs;
		const owed = [...new Set([...old.owed, ...violated(old, wanted).flatMap(([, { notify }]) => notify)])];
		const changed = groupsOf(changedFiles(old, wanted).map(([, changedFile]) => changedFile));
		if (context.preview) for (const sentence of announce(old, wanted)) context.log("info", sentence);
		return await apply(wanted, old, [...new Set([...changed, ...owed])], owed, context);
	},

	async delete(_id, state) {
		const old = state as unknown as State;
		const paths = wholeFiles(old.files).map(([p]) => `${p}\n`);
		await run(old.connection, ["delete", old.name], paths.join(""), `removing the files from ${old.connection.host}`);
	},
};

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

function groupsOf(files: Inputs["files"][string][]): string[] {
	return [...new Set(files.flatMap(({ notify }) => notify))].sort();
}

/** The files that differ: path, and the declaration that counts, which is the old one where the file goes. */
function changedFiles(old: Pick<State, "files">, wanted: Inputs): [path: string, file: Inputs["files"][string]][] {
	return [...new Set([...Object.keys(old.files), ...Object.keys(wanted.files)])].flatMap((filePath) => {
		const [was, will] = [old.files[filePath], wanted.files[filePath]];
		const same = was?.content === will?.content && was?.mode === will?.mode && was?.owner === will?.owner;
		const counts = will ?? was;
		return same || counts === undefined ? [] : [[filePath, counts]];
	});
}

/** The conditions that do not hold on the host. */
function violated(old: State, wanted: Inputs): [name: string, condition: Inputs["conditions"][string]][] {
	return Object.entries(wanted.conditions).filter(([name, { state }]) => {
		const was = old.conditions[name];
		return was !== undefined && was.state !== state;
	});
}

/** What an update will do and why, a sentence each. */
function announce(old: State, wanted: Inputs): string[] {
	const how = (filePath: string) =>
		old.files[filePath] === undefined ? "is new" : wanted.files[filePath] === undefined ? "goes" : "differs";
	return [
		...changedFiles(old, wanted).map(([filePath, { reaction }]) => `${filePath} ${how(filePath)}: ${reaction}`),
		...violated(old, wanted).map(([name, { reaction }]) => `${name} not as declared: ${reaction}`),
		...(old.owed.length > 0 ? [`a run that died left a reaction undone (${old.owed.join(", ")}): it is done now`] : []),
	];
}

async function apply(
	wanted: Inputs,
	old: Pick<State, "files" | "revisions">,
	groups: string[],
	owed: string[],
	context: Context,
): Promise<Properties> {
	if (context.preview) {
		const pending = Object.fromEntries(groups.map((name) => [name, UNKNOWN]));
		return { ...wanted, revisions: { ...old.revisions, ...pending }, owed: [], interrupted: false };
	}
	const removed = wholeFiles(old.files).filter(([filePath]) => wanted.files[filePath] === undefined);
	const archive = await pack(wanted, removed, owed);
	const result = await run(
		wanted.connection,
		["apply", wanted.name],
		archive,
		`host ${wanted.connection.host} was not changed`,
	);
	const lines = result.stdout
		.toString()
		.split("\n")
		.map((line) => line.split("\t"));
	for (const [kind, what] of lines) if (kind === "remedied") context.log("info", `${wanted.connection.host}: ${what}`);
	const changed = lines.filter(([kind]) => kind === "changed").map(([, filePath]) => filePath);
	if (changed.length > 0) context.log("info", `replaced on ${wanted.connection.host}: ${changed.join(", ")}`);
	const revisions = Object.fromEntries(
		lines.filter(([kind]) => kind === "revisions").map(([, name, value]) => [name, value]),
	);
	return { ...wanted, revisions, owed: [], interrupted: false };
}

async function run(connection: Connection, args: string[], stdin: Buffer | string, doing: string) {
	const command = ["sh", "-c", script, "fileset", ...args].map(quote).join(" ");
	const result = await exec(connection, command, stdin);
	if (result.code !== 0) {
		const said = result.stderr.trim().replace(/\.([^/\s]+)\.staged\b/g, "$1");
		throw new Error(`${doing}: ${said || `the script ended with status ${result.code}`}`);
	}
	return result;
}

function quote(text: string): string {
	return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Those that are ours as a whole: the others stay when they are no longer declared. */
function wholeFiles(files: Inputs["files"]): [path: string, file: Inputs["files"][string]][] {
	return Object.entries(files).filter(([, { within }]) => within === undefined);
}

/** What is live, as far as it is declared. */
function declaredContent({ within, content }: Inputs["files"][string], live: LiveFile): string {
	if (within === undefined) return live.content;
	try {
		return readPart(live.content, within, content);
	} catch (error) {
		if (!(error instanceof YamlPartError)) throw error;
		return `(${error.message})\n`;
	}
}

/**
 * The files as they are to be written. Where a part is declared, the rest is what is live now, and `from` the SHA-256
 * of that; else it is "-".
 */
async function wholeContents({ name, connection, files }: Inputs) {
	const parts = Object.entries(files).filter(([, { within }]) => within !== undefined);
	const unchanged = `host ${connection.host} was not changed`;
	const question = [entry("paths", rows(parts.map(([filePath]) => [filePath]))), entry("conditions/list", "")];
	const live = parts.length > 0 && (await run(connection, ["read", name], await tarball(question), unchanged)).stdout;
	const found = live ? await unpack(live) : new Map<string, LiveFile>();
	return Object.entries(files).map(([filePath, file]): [string, typeof file & { from: string }] => {
		if (file.within === undefined) return [filePath, { ...file, from: "-" }];
		const now = found.get(filePath);
		if (now === undefined || !now.mode.startsWith("0"))
			throw new Error(`${unchanged}: ${filePath} is not a file, and only a part of it is declared`);
		try {
			const content = writePart(now.content, file.within, file.content);
			return [filePath, { ...file, content, from: createHash("sha256").update(now.content).digest("hex") }];
		} catch (error) {
			if (!(error instanceof YamlPartError)) throw error;
			throw new Error(`${unchanged}: ${filePath}: ${error.message}`);
		}
	});
}

/** The tar that `fileset.sh apply` reads. */
async function pack(wanted: Inputs, removed: [string, Inputs["files"][string]][], owed: string[]): Promise<Buffer> {
	const groups = (notify: string[]) => notify.join(" ") || "-"; // The shell would lose an empty field.
	const files = await wholeContents(wanted);
	return tarball([
		entry("fileset.sh", script),
		entry(
			"files/list",
			rows(files.map(([at, f], i) => [`${i}`, f.mode.replace(/^0+(?=.)/, ""), f.owner, groups(f.notify), f.from, at])),
		),
		...files.map(([, { content }], i) => entry(`files/${i}`, content)),
		...scripts(
			"preconditions",
			wanted.preconditions.map(({ run, problem, advice }) => [run, problem, advice]),
		),
		...wanted.preconditions.flatMap(({ remedy }, i) => (remedy === undefined ? [] : [entry(`remedies/${i}`, remedy)])),
		...scripts(
			"checks",
			wanted.checks.map(({ run, files, name }) => [run, files.join(" "), name]),
		),
		entry("removals/list", rows(removed.map(([at, { notify }]) => [groups(notify), at]))),
		entry("owed", rows(owed.map((name) => [name]))),
	]);
}

function entry(name: string, content: string): TarEntry {
	return { name, mode: 0o600, content };
}

function rows(table: string[][]): string {
	return table.map((row) => `${row.join("\t")}\n`).join("");
}

/** Numbered scripts in a folder, and the list of what belongs to each. */
function scripts(folder: string, all: [run: string, ...fields: string[]][]): TarEntry[] {
	return [
		entry(`${folder}/list`, rows(all.map(([, ...fields], i) => [`${i}`, ...fields]))),
		...all.map(([run], i) => entry(`${folder}/${i}`, run)),
	];
}

interface LiveFile {
	content: string;
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
		found.set(name.replace(/\/$/, ""), {
			content: type === "file" ? Buffer.concat(chunks).toString() : `(a ${type}${linkname ? ` to ${linkname}` : ""})`,
			mode: type === "file" ? `0${((mode ?? 0) & 0o7777).toString(8).padStart(3, "0")}` : `${type}`,
			owner: `${uname || uid}:${gname || gid}`,
		});
	}
	return found;
}
