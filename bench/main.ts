/**
 * make bench: what this program costs beside what people use instead, each figure measured in turn with its peers in one
 * run, and written to its chapter of docs/benchmarks.md. The text before the first chapter is written by hand.
 */
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { execa } from "execa";
import { PROBE_FLAGS } from "../components/integrityMonitoring/objects.ts";
import { probeProgram } from "../components/integrityMonitoring/program.ts";
import { upkeepProgram } from "../components/registryVm/upkeepFiles.ts";
import { PROJECT } from "../config.ts";
import { proxmox, registryVm, STACK } from "../lab/estate.ts";
import { sshConfigPath } from "../lab/keys.ts";
import { checkout, paths } from "../lab/paths.ts";
import { labEnvironment } from "../lab/status.ts";
import { rendered } from "../scripts/rendering.ts";
import { writePlaybook } from "./ansible.ts";
import { change } from "./change.ts";
import { compare, type Measured, median, type Way } from "./compare.ts";
import { compareHosts } from "./hosts.ts";
import { pullsBeside } from "./pulls.ts";
import { PASSWORD, pushgateway, registry, type Server, slowly, USER } from "./servers.ts";
import { untilFirstResource } from "./start.ts";
import { writeStore } from "./store.ts";

/** In milliseconds, there and back: that of a cluster and a VM in one house with a busy network. */
const LATENCY = 20;
/** What bcrypt costs with a password from a generator, and with one that has less than 20 characters. */
const [CHEAP, DEAR] = [4, 10];
/** How many tags the registries have that the probe looks at in turn. */
const GROWTH = [600, 6_000];

interface Chapter {
	title: string;
	/** What is measured, a sentence. */
	what: string;
	/** What belongs below the table, or in its place, in Markdown. */
	more?: string;
	rows: Measured[];
}

const chapters: Record<string, (rounds: number, folder: string) => Promise<Chapter[]>> = {
	estate,
	start,
	change: changed,
	probe,
	memory,
	scan,
	tags,
	pulls,
	hosts,
};

const program = new Command()
	.name("make bench")
	.argument("[what...]", `of ${Object.keys(chapters).join(", ")}; all by default`)
	.option("--rounds <number>", "of each", Number, 3)
	.action(async (names: string[], { rounds }: { rounds: number }) => {
		for (const name of names.length > 0 ? names : Object.keys(chapters)) {
			const chapter = chapters[name];
			if (chapter === undefined) program.error(`there is no ${name}; there are: ${Object.keys(chapters).join(", ")}`);
			const folder = await mkdtemp(join(tmpdir(), "bench-"));
			try {
				const found = await (chapter as NonNullable<typeof chapter>)(rounds, folder);
				await intoPage(name, inMarkdown(name, found, rounds));
			} finally {
				await rm(folder, { recursive: true, force: true });
			}
		}
	});
await program.parseAsync();

/** A look for changes on the lab's hosts, beside Ansible's. */
async function estate(rounds: number, folder: string): Promise<Chapter[]> {
	const env = await labEnvironment();
	const check = `--refresh --expect-no-changes --non-interactive --stack ${STACK}`;
	const { hosts: files } = await rendered(STACK);
	// As the lab's SSH config calls them.
	const plays = [
		{ hosts: ["registry"], files: files[registryVm.hostname] ?? {} },
		{ hosts: ["pve"], files: files[proxmox.hostname] ?? {} },
	];
	const playbook = writePlaybook(folder, sshConfigPath, plays);
	const ways: Way[] = [
		{ name: "pulumi preview --refresh", command: `exec pulumi preview ${check}`, env },
		{
			name: "ansible-playbook --check --diff, its files alone",
			command: playbook.command("--check --diff"),
			env: playbook.env,
		},
	];
	const what =
		"The lab's registry VM and Proxmox host, as declared. The preview also asks Kubernetes, Vault, Woodpecker and whether each container runs what is declared; Ansible compares files.";
	return [{ title: "Nothing has changed", what, rows: await compare(ways, rounds) }];
}

/** How long the program takes until its first resource, beside one that has nothing but that. */
async function start(rounds: number, folder: string): Promise<Chapter[]> {
	const env = await labEnvironment();
	const shown = await execa("pulumi", ["config", "--show-secrets", "--json", "--stack", STACK], { env });
	const values = Object.entries(JSON.parse(shown.stdout) as Record<string, { value: string }>);
	const config = Object.fromEntries(values.map(([key, { value }]) => [key, value]));
	const secret = { PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(Object.keys(config)) };
	const empty = { name: "empty", type: "module", main: "index.ts" };
	await writeFile(join(folder, "package.json"), JSON.stringify(empty));
	await writeFile(
		join(folder, "index.ts"),
		'import * as pulumi from "@pulumi/pulumi";\nnew pulumi.ComponentResource("bench:index:Nothing", "nothing");\n',
	);
	await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
	const ways = [
		{
			name: "a program with one resource",
			seconds: [] as number[],
			run: () => untilFirstResource(folder, "empty", {}, {}),
		},
		{
			name: "this program, the lab's stack",
			seconds: [] as number[],
			run: () => untilFirstResource(checkout, PROJECT, config, { ...env, ...secret }),
		},
	];
	for (let round = 0; round < rounds; round++) for (const { seconds, run } of ways) seconds.push(await run());
	return [
		{
			title: "From the program's start to its first resource",
			what: "The program's process alone, with an engine that takes its first resource. Half of it is Pulumi's SDK, and the rest reads the config, Vault and what the resources are made of.",
			rows: ways.map(({ name, seconds }) => ({ name, seconds, requests: 0, server: 0, memory: 0 })),
		},
	];
}

/** A change with its restart, beside Ansible's. */
async function changed(rounds: number, folder: string): Promise<Chapter[]> {
	const what =
		"One cache gets another upstream, and then its own again: two changes, each with its container recreated, nginx restarted and every port asked who it is, by the same script. Pulumi also reads the canary, scans the disk and looks at everything else of the stack.";
	return [{ title: "One cache is changed, and changed back", what, rows: await change(rounds, folder) }];
}

/** How a look for changes grows with the number of hosts. */
async function hosts(rounds: number, folder: string): Promise<Chapter[]> {
	const counts = [1, 10, 50];
	const all = await compareHosts(counts, rounds, folder);
	const lines = [0, 1].map((way) => all.map((rows) => median(rows[way]?.seconds ?? []).toFixed(1)).join(", "));
	const picture = [
		"```mermaid",
		"xychart-beta",
		'  title "Seconds by the number of hosts: the lower line is this program, the upper one Ansible"',
		`  x-axis [${counts.join(", ")}]`,
		'  y-axis "seconds"',
		...lines.map((line) => `  line [${line}]`),
		"```",
	].join("\n");
	return counts.map((count, i) => ({
		...(i === counts.length - 1 && { more: picture }),
		title: `Nothing has changed: ${count} ${count === 1 ? "host" : "hosts"} with a managed resolver`,
		what: "Machines of the lab on this one, whose own work is the server's processor time; Ansible asks all of them at once, and compares the same files. The first update was timed once.",
		rows: all[i] ?? [],
	}));
}

/** The probe beside what looks at images elsewhere. */
async function probe(rounds: number, folder: string): Promise<Chapter[]> {
	writeStore(folder, { tags: 300, indexes: 100, layers: 8, repositories: 10 });
	const what = `300 tags, 100 of them indexes, in 10 repositories; TLS, a password of cost ${CHEAP}, ${LATENCY} ms of latency. The images of a repository share half of their layers with the one before: the probe asks for each piece once, the others once for each tag.`;
	using server = await registry(folder, CHEAP);
	using way = await slowly(server.port, LATENCY);
	using gateway = await pushgateway();
	const host = `127.0.0.1:${way.port}`;
	const { env, command } = await ourProbe(folder, host, gateway.url);
	const auth = Buffer.from(`${USER}:${PASSWORD}`).toString("base64");
	await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [host]: { auth } } }));
	const files = { DOCKER_CONFIG: folder, REGCTL_CONFIG: join(folder, "regctl.json") };
	// The lab's own crane and regctl.
	const clients = { ...(await labEnvironment()), ...files, SSL_CERT_FILE: join(paths.keys, "ca.pem") };
	const tags = `for r in $(crane catalog ${host}); do crane ls --full-ref ${host}/$r; done`;
	const ways: Way[] = [
		{ name: "the probe", command, env },
		{
			name: "crane validate --fast, 12 side by side",
			command: `(${tags}) | xargs -P 12 -n 1 crane validate --fast --remote`,
			env: clients,
		},
		{
			name: "regctl manifest get and blob head, 12 side by side",
			command: `(${tags}) | xargs -P 12 -n 1 bench/sh/regctl.sh`,
			env: clients,
		},
		{
			name: "curl and jq, one after the other",
			command: "bench/sh/probe.sh",
			env: { URL: `https://${host}`, USER, PASSWORD },
		},
	];
	const counted = ways.map((way) => ({ ...way, meter: server }));
	const beside: Chapter = { title: "A look at every image", what, rows: await compare(counted, rounds) };

	using open = await registry(folder, undefined);
	using cheap = await registry(folder, CHEAP);
	using dear = await registry(folder, DEAR);
	// By the walk alone: a registry without a password is not the one that the probe means.
	const walkOf = (name: string, meter: Server): Way => ({
		...{ name, meter, env, command: `exec node bench/walkAll.ts https://127.0.0.1:${meter.port}` },
	});
	const costs = await compare(
		[
			walkOf("no password", open),
			walkOf(`cost ${CHEAP}, as rendered for a password from a generator`, cheap),
			walkOf(`cost ${DEAR}, as rendered for a short password`, dear),
		],
		rounds,
	);
	const password: Chapter = {
		title: "What a password check costs the registry",
		what: "The same images, looked at without latency by the same walk; the registry's processor time is what counts.",
		rows: costs,
	};
	return [beside, password];
}

/** How the probe's memory and time grow with the registry. */
async function memory(rounds: number, folder: string): Promise<Chapter[]> {
	const stores = GROWTH.map((tags) => ({ name: `${tags} tags`, folder: join(folder, String(tags)), tags }));
	for (const { folder, tags } of stores) writeStore(folder, { tags, indexes: 0, layers: 64, repositories: 20 });
	return [
		{
			title: "How the probe grows",
			what: "Images of 64 layers, half of them shared: 6,000 tags are 192,000 layers. No latency; the registry runs beside it.",
			rows: await probed(stores, rounds),
		},
	];
}

/** The probe of each of the stores, by a registry of its own. */
async function probed(stores: { name: string; folder: string }[], rounds: number): Promise<Measured[]> {
	using gateway = await pushgateway();
	const servers: Server[] = [];
	try {
		const ways: Way[] = [];
		for (const { name, folder } of stores) {
			const server = await registry(folder, CHEAP);
			servers.push(server);
			ways.push({ name, meter: server, ...(await ourProbe(folder, `127.0.0.1:${server.port}`, gateway.url)) });
		}
		return await compare(ways, rounds);
	} finally {
		for (const server of servers) server[Symbol.dispose]();
	}
}

/** The scan of the disk beside find over the same tree. */
async function scan(rounds: number, folder: string): Promise<Chapter[]> {
	writeStore(join(folder, "private"), { tags: 6000, indexes: 0, layers: 64, repositories: 20 });
	const upkeep = join(folder, "upkeep.mjs");
	await writeFile(upkeep, upkeepProgram());
	const ways: Way[] = [
		{ name: "find", command: `exec find '${folder}/private' -type f` },
		{
			name: "the scan",
			command: `exec node '${upkeep}' fix-broken-blobs --dry-run --private private '${folder}'`,
		},
	];
	const what =
		"6,000 images of 64 layers, half of them shared, are 198,000 layer links; the scan compares every link, size and manifest.";
	return [{ title: "A scan of the disk", what, rows: await compare(ways, rounds) }];
}

/** How the nightly upkeep and the probe grow with the number of tags. */
async function tags(rounds: number, folder: string): Promise<Chapter[]> {
	const upkeep = join(folder, "upkeep.mjs");
	await writeFile(upkeep, upkeepProgram());
	const sizes = [5_000, 50_000];
	for (const size of sizes)
		writeStore(join(folder, String(size)), { tags: size, indexes: size / 5, layers: 4, repositories: 100 });
	const way = (name: string, command: string) =>
		sizes.map((size) => ({
			name: `${name}, ${size} tags`,
			command: `exec node '${upkeep}' ${command} --dry-run --private ${size} '${folder}'`,
		}));
	const what =
		"A fifth of the tags are indexes of two images of 4 layers each, half of them shared, in 100 repositories.";
	const stores = sizes.map((size) => ({ name: `the probe, ${size} tags`, folder: join(folder, String(size)) }));
	return [
		{ title: "A scan of many tags", what, rows: await compare(way("the scan", "fix-broken-blobs"), rounds) },
		{ title: "Which of many tags are old", what, rows: await compare(way("the cleanup", "cleanup-tags"), rounds) },
		{
			title: "A look at every image of many",
			what: `${what} No latency; the registry runs beside it. The look was made once: it may take all of the 11 minutes that a run has.`,
			rows: await probed(stores, 1),
		},
	];
}

/** What a pull feels of a scan. */
async function pulls(rounds: number, folder: string): Promise<Chapter[]> {
	const size = { tags: 2000, indexes: 0, layers: 64, repositories: 20 };
	writeStore(join(folder, "private"), size);
	const upkeep = join(folder, "upkeep.mjs");
	await writeFile(upkeep, upkeepProgram());
	using server = await registry(join(folder, "private"), undefined);
	const images = Array.from({ length: size.tags - 1 }, (_, i) => i + 1).map((i) => ({
		...{ repository: `bench/app-${i % size.repositories}`, tag: `v${i}` },
	}));
	const scanning = `node '${upkeep}' fix-broken-blobs --gently --dry-run --private private '${folder}'`;
	const ways: [string, string?][] = [["pulls alone"], ["beside a scan", scanning]];
	const ca = await readFile(join(paths.keys, "ca.pem"), "utf8");
	const durations: number[][] = ways.map(() => []);
	for (let round = 0; round < rounds; round++)
		for (const [i, [, beside]] of ways.entries())
			durations[i]?.push(...(await pullsBeside(`https://127.0.0.1:${server.port}`, ca, images, 20, beside)));
	const at = (all: number[], share: number) => all.sort((a, b) => a - b)[Math.floor(share * (all.length - 1))] ?? 0;
	const alone = at(durations[0] ?? [], 0.95);
	const lines = ways.map(([name], i) => {
		const all = durations[i] ?? [];
		const [p50, p95] = [at(all, 0.5), at(all, 0.95)];
		return `| ${name} | ${all.length} | ${p50.toFixed(2)} | ${p95.toFixed(2)} | ${(p95 / alone).toFixed(2)} |`;
	});
	const columns = "| | pulls | median, s | 95th percentile, s | times that of pulls alone |";
	const what =
		"Two clients pull images of 64 small layers, three layers at once each, from a registry of 2,000, on two cores; the scan begins anew when it has ended.";
	const table = [columns, "| --- | --- | --- | --- | --- |", ...lines].join("\n");
	return [{ title: "Pulls while the disk is scanned", what, rows: [], more: table }];
}

async function ourProbe(
	folder: string,
	host: string,
	gateway: string,
): Promise<Pick<Way, "command"> & { env: Record<string, string> }> {
	const program = join(folder, "probe.cjs");
	await writeFile(program, probeProgram());
	const env = {
		...{ REGISTRY_URL: `https://${host}`, REGISTRY_NAME: "private", REGISTRY_USER: USER, REGISTRY_PASSWORD: PASSWORD },
		...{ REGISTRY_CA: join(paths.keys, "ca.pem"), CANARY: "bench/app-0", PUSHGATEWAY_URL: gateway, INSTANCE: "bench" },
	};
	return { command: `exec node ${PROBE_FLAGS.join(" ")} '${program}'`, env };
}

/** Puts the chapter into the page, which has them in their order; the others stay as they were measured. */
async function intoPage(name: string, chapter: string): Promise<void> {
	const page = new URL("../docs/benchmarks.md", import.meta.url);
	const [intro = "", ...parts] = (await readFile(page, "utf8")).split(/(?=^<!-- \w+ -->$)/m);
	const measured = new Map(parts.map((part) => [/^<!-- (\w+) -->/.exec(part)?.[1], part]));
	measured.set(name, `<!-- ${name} -->\n\n${chapter}`);
	const all = [intro, ...Object.keys(chapters).flatMap((key) => measured.get(key) ?? [])];
	await writeFile(page, `${all.map((part) => part.trim()).join("\n\n")}\n`);
	console.log(chapter);
}

function inMarkdown(name: string, all: Chapter[], rounds: number): string {
	const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`;
	const parts = all.map(({ title, what, rows, more = "" }) => {
		const first = median(rows[0]?.seconds ?? []);
		const table = rows.map(({ name, seconds, requests, server, memory }) => {
			const spread = [Math.min(...seconds), median(seconds), Math.max(...seconds)]
				.map((one) => one.toFixed(1))
				.join(" / ");
			const served = Number.isFinite(server) && server > 0 ? server.toFixed(1) : "";
			const ratio = (median(seconds) / first).toFixed(2);
			return `| ${name} | ${spread} | ${ratio} | ${requests || ""} | ${served} | ${memory ? memory.toFixed(0) : ""} |`;
		});
		const columns =
			"| | seconds: least / median / most | times the first | requests | server's processor, s | memory, MiB |";
		const lines = [columns, "| --- | --- | --- | --- | --- | --- |", ...table].join("\n");
		return [`## ${title}`, what, ...(rows.length > 0 ? [lines] : []), more].join("\n\n").trimEnd();
	});
	const made = `Measured on ${new Date().toISOString().slice(0, 10)} with \`make bench\` (\`node bench/main.ts ${name}\`), ${rounds} ${rounds === 1 ? "round" : "rounds"}, on a machine with ${machine}.`;
	return [...parts, made].join("\n\n");
}
