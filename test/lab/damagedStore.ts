/**
 * Registry stores with random images and random damage, and what a check has to find in them. The same seed gives
 * the same case.
 */

import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { tarball } from "../../host/tarball.ts";
import type { ExampleStore } from "../components/registryVm/upkeep/exampleStore.ts";

const OCI = "application/vnd.oci.image";
const DOCKER = "application/vnd.docker";

/** A number from 0 up to 1, the same sequence for the same seed (mulberry32). */
export function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

/** Something stored under a digest, in one repository. */
interface Node {
	kind: "index" | "image" | "config" | "layer";
	digest: string;
	size: number;
	mediaType: string;
	platform?: { os: string; architecture: string };
	/** What it refers to, and what it says of it that is not so. */
	edges: { to: Node; lie?: "size" | "mediaType" | "platform" }[];
	/** Refers to it, but need not have it. */
	subject?: Node;
	/** Where it is named by SHA-512: the digest under which a registry stores it. */
	stored?: string;
	/** True where no descriptor says its size. */
	unsized?: boolean;
}

type Damage = "gone" | "emptied" | "truncated" | "grown" | "flipped" | "unlinked" | "empty link" | "malformed link";
type TagDamage = "no link" | "empty link" | "malformed link" | "dangling";

export interface Case {
	seed: number;
	repository: string;
	/** What each tag names. */
	tags: Map<string, Node>;
	/** By digest. */
	damaged: Map<string, Damage>;
	tagsDamaged: Map<string, TagDamage>;
	/** True where the folder with all manifests of the repository is gone. */
	noRevisions: boolean;
	/** Tags of what only refers to others, or is a build cache: clients of images can't judge it. */
	artifacts: Set<string>;
}

/** Writes one case's images, still whole but for what they say that is not so. */
export async function makeCase(store: ExampleStore, seed: number): Promise<Case> {
	const next = random(seed);
	const below = (n: number) => Math.floor(next() * n);
	const chance = (p: number) => next() < p;
	const repository = `cases/${String(seed).padStart(4, "0")}`;
	const tags = new Map<string, Node>();
	const artifacts = new Set<string>();
	const shared: Node[] = [];
	const docker = chance(0.3);
	const lie = <T>(what: T): T | undefined => (chance(0.02) ? what : undefined);
	let made = 0;

	const layer = async (): Promise<Node> => {
		const old = shared[below(shared.length)];
		if (old !== undefined && chance(0.3)) return old;
		const text = `case ${seed} layer ${made++}\n`.repeat(1 + below(400));
		const tar = await tarball([{ name: "content", mode: 0o644, content: text }]);
		const content = gzipSync(tar);
		const { digest, size } = store.layer(repository, content);
		const node: Node = {
			kind: "layer",
			digest,
			size,
			mediaType: docker ? `${DOCKER}.image.rootfs.diff.tar.gzip` : `${OCI}.layer.v1.tar+gzip`,
			edges: [],
			unsized: chance(0.03),
		};
		if (chance(0.03)) {
			Object.assign(node, { digest: `sha512:${createHash("sha512").update(content).digest("hex")}`, stored: digest });
			const link = store.store.repository(repository).layerLink(node.digest);
			mkdirSync(dirname(link), { recursive: true });
			writeFileSync(link, digest);
		}
		diffIds.set(node, `sha256:${createHash("sha256").update(tar).digest("hex")}`);
		shared.push(node);
		return node;
	};
	const diffIds = new Map<Node, string>();
	const edge = (to: Node, ...lies: ("size" | "mediaType" | "platform")[]) => {
		const told = to.unsized ? undefined : lie(lies[below(lies.length)]);
		return { to, ...(told !== undefined && { lie: told }) };
	};
	const descriptor = ({ to, lie: told }: Node["edges"][number]) => ({
		mediaType:
			told !== "mediaType"
				? to.mediaType
				: to.mediaType.startsWith(OCI)
					? `${DOCKER}.distribution.manifest.v2+json`
					: `${OCI}.manifest.v1+json`,
		digest: to.digest,
		...(!to.unsized && { size: told === "size" ? to.size + 1 : to.size }),
		...(to.platform && {
			platform: told === "platform" ? { ...to.platform, architecture: "s390x" } : to.platform,
		}),
	});
	const manifest = (kind: Node["kind"], mediaType: string, edges: Node["edges"], body: object): Node => {
		const text = JSON.stringify({ schemaVersion: 2, mediaType, ...body });
		return { kind, digest: store.manifest(repository, text), size: Buffer.byteLength(text), mediaType, edges };
	};
	const image = async (architecture: string): Promise<Node> => {
		// Registries take an image whose layers are null, or not there, for one without layers.
		const none = chance(0.05) ? [{ layers: null }, { layers: undefined }][below(2)] : undefined;
		const layers = none ? [] : await Promise.all(Array.from({ length: 1 + below(3) }, layer));
		const text = JSON.stringify({
			os: "linux",
			architecture,
			created: new Date(Date.UTC(2026, 0, 1) + (seed * 1000 + made++) * 1000).toISOString(),
			config: {},
			rootfs: { type: "layers", diff_ids: layers.map((one) => diffIds.get(one)) },
		});
		const config: Node = {
			kind: "config",
			...store.layer(repository, text),
			mediaType: docker ? `${DOCKER}.container.image.v1+json` : `${OCI}.config.v1+json`,
			edges: [],
		};
		const edges = [config, ...layers].map((to) => edge(to, "size"));
		// The same layer twice is legitimate, but says the same of it twice.
		for (const one of edges) Object.assign(one, { lie: edges.find(({ to }) => to === one.to)?.lie });
		const type = docker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`;
		const [first, ...rest] = edges.map(descriptor);
		const node = manifest("image", type, edges, { config: first, layers: rest, ...none });
		return { ...node, platform: { os: "linux", architecture } };
	};
	/** As BuildKit stores its cache in a registry: an index whose entries are no manifests. */
	const buildCache = async (): Promise<Node> => {
		const layers = await Promise.all(Array.from({ length: 1 + below(3) }, layer));
		const config: Node = {
			kind: "layer", // It is no image's config, and read by nobody here.
			...store.layer(repository, `{"case":${seed},"cache":${made++}}`),
			mediaType: "application/vnd.buildkit.cacheconfig.v0",
			edges: [],
		};
		const edges = [...layers, config].map((to) => edge(to));
		return manifest("index", `${OCI}.index.v1+json`, edges, { manifests: edges.map(descriptor) });
	};
	/** An artifact with the empty config: a signature, or the attestation of an image. */
	const artifact = (subject?: Node): Node => {
		const empty: Node = {
			kind: "config",
			...store.layer(repository, "{}"),
			mediaType: "application/vnd.oci.empty.v1+json",
			edges: [],
		};
		const statement: Node = {
			kind: "layer",
			...store.layer(repository, `{"case":${seed},"statement":${made++}}`),
			mediaType: "application/vnd.in-toto+json",
			edges: [],
		};
		const edges = [edge(empty), edge(statement, "size")];
		const [config, ...layers] = edges.map(descriptor);
		const about = subject && { subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size } };
		const node = manifest("image", `${OCI}.manifest.v1+json`, edges, { config, layers, ...about });
		return { ...node, platform: { os: "unknown", architecture: "unknown" }, ...(subject && { subject }) };
	};
	const index = async (depth: number): Promise<Node> => {
		const architectures = ["amd64", "arm64", "riscv64", "ppc64le"].slice(0, 1 + below(4));
		const children = await Promise.all(architectures.map(image));
		if (chance(0.4)) children.push(artifact());
		if (depth > 0 && chance(0.3)) children.push(await index(depth - 1));
		const edges = children.map((to) =>
			to.kind === "index"
				? edge(to, "size")
				: to.platform?.os === "unknown"
					? edge(to, "size")
					: edge(to, "size", "mediaType", "platform"),
		);
		const type = docker ? `${DOCKER}.distribution.manifest.list.v2+json` : `${OCI}.index.v1+json`;
		return manifest("index", type, edges, { manifests: edges.map(descriptor) });
	};
	const tag = (name: string, node: Node) => {
		tags.set(name, node);
		store.tag(repository, name, node.digest);
	};

	const roots = 1 + below(3);
	for (let i = 0; i < roots; i++) tag(`v${i}`, chance(0.6) ? await index(2) : await image("amd64"));
	const [[, first] = []] = tags;
	if (first !== undefined && chance(0.3)) tag("latest", first);
	if (first !== undefined && chance(0.2)) {
		const name = first.digest.replace(":", "-");
		tag(name, artifact(first));
		artifacts.add(name);
	}
	if (first !== undefined && chance(0.15)) {
		const name = `${first.digest.replace(":", "-")}.sig`;
		tag(name, artifact());
		artifacts.add(name);
	}
	if (chance(0.1)) {
		tag("buildcache", await buildCache());
		artifacts.add("buildcache");
	}
	return { seed, repository, tags, damaged: new Map(), tagsDamaged: new Map(), noRevisions: false, artifacts };
}

/** Everything that a root leads to, itself included, but for what it is only about. */
function reachable(root: Node): Node[] {
	return [root, ...root.edges.flatMap(({ to }) => reachable(to))];
}

/** Damages what is on the disk; two cases in three get something. */
export function damage({ store }: ExampleStore, one: Case): void {
	const next = random(one.seed + 1_000_000);
	const pick = <T>(list: T[]): T => list[Math.floor(next() * list.length)] as T;
	const repository = store.repository(one.repository);
	const nodes = [...new Map([...one.tags.values()].flatMap(reachable).map((node) => [node.digest, node])).values()];
	const hits = Math.floor(next() * 4);
	for (let i = 0; i < hits; i++) {
		const chance = next();
		if (chance < 0.15) {
			const tag = pick([...one.tags.keys()]);
			const link = join(repository.tagFolder(tag), "current/link");
			if (one.tagsDamaged.has(tag)) continue;
			const how = pick<TagDamage>(["no link", "empty link", "malformed link", "dangling"]);
			if (how === "no link") rmSync(link);
			if (how === "empty link") truncateSync(link);
			if (how === "malformed link") writeFileSync(link, "sha256:no digest");
			if (how === "dangling") writeFileSync(link, `sha256:${"0".repeat(64)}`);
			one.tagsDamaged.set(tag, how);
		} else if (chance < 0.17) {
			rmSync(dirname(dirname(dirname(repository.revisionLink(nodes[0]?.digest as string)))), {
				recursive: true,
				force: true,
			});
			one.noRevisions = true;
		} else {
			const node = pick(nodes);
			// The empty config is every case's.
			if (one.damaged.has(node.digest) || node.mediaType.includes("empty")) continue;
			const isManifest = node.kind === "index" || node.kind === "image";
			const [data, link] = [
				store.blobPath(node.stored ?? node.digest),
				isManifest ? repository.revisionLink(node.digest) : repository.layerLink(node.digest),
			];
			if (isManifest && one.noRevisions) continue;
			const how = pick<Damage>([
				"gone",
				"emptied",
				"truncated",
				"grown",
				"flipped",
				"unlinked",
				"empty link",
				"malformed link",
			]);
			if (how === "gone") rmSync(data);
			if (how === "emptied") truncateSync(data);
			if (how === "truncated") truncateSync(data, 1 + Math.floor(next() * (node.size - 1)));
			if (how === "grown") appendFileSync(data, "xx"); // Not by one, which a descriptor may lie by.
			if (how === "flipped") {
				const bytes = readFileSync(data);
				const at = Math.floor(next() * bytes.length);
				bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(next() * 8));
				writeFileSync(data, bytes);
			}
			if (how === "unlinked") rmSync(dirname(link), { recursive: true });
			if (how === "empty link") truncateSync(link);
			if (how === "malformed link") writeFileSync(link, "no digest at all");
			one.damaged.set(node.digest, how);
		}
	}
}

/** What a walk from that tag has to name, told from how the case was made. */
export function expectedSubjects(one: Case, tag: string, how: { deep: boolean; blind?: boolean }): Set<string> {
	const subjects = new Set<string>();
	const isBroken = ({ digest, kind, unsized }: Node) => {
		const damage = one.damaged.get(digest);
		const isBlob = kind === "layer" || kind === "config";
		// With its links in memory, a registry still delivers the blob, and as long as it was.
		if (how.blind && isBlob && (damage?.endsWith("link") || damage === "unlinked" || damage === "grown")) return false;
		return damage !== undefined && (damage !== "flipped" || kind !== "layer" || how.deep || unsized);
	};
	const visit = (node: Node, name: string): boolean => {
		const isManifest = node.kind === "index" || node.kind === "image";
		if (isBroken(node) || (isManifest && one.noRevisions)) {
			subjects.add(name);
			return false;
		}
		for (const { to, lie } of node.edges) {
			const whole = visit(to, to.digest);
			if (!whole) continue;
			if (lie === "size" || lie === "mediaType") subjects.add(to.digest);
			// What an image is for stands in its config.
			const config = to.edges[0]?.to;
			if (lie === "platform" && config !== undefined && !isBroken(config)) subjects.add(config.digest);
		}
		if (node.subject !== undefined && !isUnhad(node.subject)) visit(node.subject, node.subject.digest);
		return true;
	};
	/** The registry says that it never had it. */
	const isUnhad = ({ digest }: Node) => one.noRevisions || ["gone", "unlinked"].includes(one.damaged.get(digest) ?? "");
	const root = one.tags.get(tag) as Node;
	if (one.tagsDamaged.has(tag)) subjects.add(tag);
	else visit(root, tag);
	return subjects;
}

/** True where nothing below the tag says what is not so, or is what clients do not know. */
export function tellsNoLies(one: Case, tag: string): boolean {
	return reachable(one.tags.get(tag) as Node).every(
		({ edges, unsized, stored }) => !unsized && !stored && edges.every(({ lie }) => lie === undefined),
	);
}

/** What a scan of the disk has to name: digests and tags. What only an unreadable manifest refers to, nobody can tell. */
export function expectedOnDisk(one: Case): Set<string> {
	const all = [...one.tags.values()].flatMap(reachable);
	const isManifest = ({ kind }: Node) => kind === "index" || kind === "image";
	const isReadable = (node: Node) => !one.noRevisions && !one.damaged.has(node.digest);
	const named = new Set([
		...all
			.filter((node) => isManifest(node) && isReadable(node))
			.flatMap(({ edges }) => edges.map(({ to }) => to.digest)),
		...[...one.tags].filter(([tag]) => !one.tagsDamaged.has(tag)).map(([, { digest }]) => digest),
	]);
	const subjects = new Set<string>(one.tagsDamaged.keys());
	if (one.noRevisions) subjects.add("_manifests/revisions");
	for (const [digest, how] of one.damaged) {
		const manifest = all.some((node) => node.digest === digest && isManifest(node));
		if (manifest && one.noRevisions) continue;
		// What is named by SHA-512 has a link by its other digest besides, which leads nowhere where the content is gone.
		const { stored } = all.find((node) => node.digest === digest) as Node;
		if (stored !== undefined && how === "gone") subjects.add(stored);
		const tellsItself = how.endsWith("link") || (manifest ? how !== "unlinked" : how === "gone");
		if ((tellsItself && stored === undefined) || named.has(digest)) subjects.add(digest);
	}
	return subjects;
}

/** Under which digests a registry stores what is named by SHA-512. */
export function namedBySha512(one: Case): string[] {
	return [...one.tags.values()].flatMap(reachable).flatMap(({ stored }) => stored ?? []);
}

/** What a scan of the disk may name besides: it looks at sizes, too, and not at what else a descriptor says. */
export function wrongSizes(one: Case): Set<string> {
	const lied = [...one.tags.values()]
		.flatMap(reachable)
		.flatMap(({ edges }) => edges.filter(({ lie }) => lie === "size"));
	return new Set(lied.map(({ to }) => to.digest));
}
