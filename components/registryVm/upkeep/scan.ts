/** Looks for what is broken in a registry's storage: links without content, indexes without children, files of the wrong size. */
import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
	algorithmOf,
	type Descriptor,
	digestOf,
	MANIFEST_LIMIT,
	ManifestError,
	parseManifest,
} from "../../../oci/manifest.ts";
import type { Link, Repository, Store } from "./store.ts";

export const PROBLEMS = [
	"broken-layer-link",
	"orphan-layer-link",
	"broken-revision-link",
	"missing-revisions",
	"broken-tag-link",
	"orphan-tag",
	"missing-manifest",
	"unreadable-manifest",
	"orphan-child",
	"missing-blob",
	"missing-layer-link",
	"wrong-size",
	"wrong-content",
] as const;
export type Problem = (typeof PROBLEMS)[number];

export interface Finding {
	registry: string;
	/** Empty for content that no repository was asked about. */
	repository: string;
	problem: Problem;
	/** The tag, or the digest of the layer or manifest, in which it was found. */
	subject: string;
	detail: string;
	/**
	 * Where the scan put it right: the broken link was taken away, or has its digest again; or content that is not what its
	 * digest says was taken away, so that it can be pushed again.
	 */
	fixed?: "removed" | "written again" | "set aside";
	/** For an orphan child: what its index calls it, where its content is still there and can be linked again. */
	relinkable?: Pick<Descriptor, "digest" | "mediaType">;
}

export interface ScanOptions {
	registry: string;
	/** True for a cache, which legitimately lacks what nobody pulled: only its layer links are looked at. */
	cache: boolean;
	/**
	 * Removes layer links that lead nowhere, and puts empty links of layers and manifests right; everything else is only
	 * reported.
	 */
	fix: boolean;
	/** First looks at all content for what was cut off, whether anything leads there or not. False by default. */
	truncated?: boolean;
	/** Reads every blob whole and checks its digest; else only the manifests', and what has no size in its descriptor. */
	deep?: boolean;
	/** Called between any two things that are looked at. */
	pause?: () => void;
}

/** All that is broken in one registry. */
export function scan(store: Store, options: ScanOptions): Finding[] {
	const truncated = options.truncated ? scanTruncated(store, options) : [];
	const broken = store.repositories().flatMap((name) => {
		const repository = store.repository(name);
		const found: Finding[] = [];
		const report = (problem: Problem, subject: string, detail: string, more: Partial<Finding> = {}) =>
			found.push({ registry: options.registry, repository: name, problem, subject, detail, ...more });
		const layers = scanLayers(store, repository, options, report);
		if (!options.cache) scanManifests(store, repository, layers, options, report);
		return found;
	});
	return [...truncated, ...broken];
}

/** Sizes at which a file system cuts a file off are multiples of this, in bytes; the smallest block that is in use. */
const BLOCK = 1024;

/**
 * Of a manifest that is pushed while the disk is full, or before the power fails, a registry keeps the beginning or an empty
 * file (distribution#4489). It takes a later push of the same manifest without writing it, and what was pushed is
 * broken. (A layer gets its place when it is whole.)
 */
function scanTruncated(store: Store, { registry, fix, pause }: ScanOptions): Finding[] {
	const found: Finding[] = [];
	for (const digest of store.blobs()) {
		pause?.();
		const size = store.blobSize(digest);
		if (size === undefined || size > MANIFEST_LIMIT || size % BLOCK !== 0 || isYoung(store.blobPath(digest))) continue;
		if (store.isWhole(digest)) continue;
		const detail = `its content was cut off after ${size} bytes`;
		if (fix) store.setAside(digest);
		const more = fix ? ({ fixed: "set aside" } as const) : {};
		found.push({ registry, repository: "", problem: "wrong-content", subject: digest, detail, ...more });
	}
	return found;
}

type Report = (problem: Problem, subject: string, detail: string, more?: Partial<Finding>) => void;

/**
 * The size in bytes of each layer whose link leads to it, by its digest: many manifests of a repository need the same ones,
 * which are looked at once.
 */
type Layers = Map<string, number>;

function scanLayers(store: Store, repository: Repository, { fix, pause }: ScanOptions, report: Report): Layers {
	const layers: Layers = new Map();
	for (const digest of repository.layers()) {
		pause?.();
		const link = repository.layer(digest);
		if (isBeingWritten(repository.layerLink(digest), link)) continue;
		const broken = wrongWith(link, digest);
		const size = broken === undefined ? store.blobSize(digest) : undefined;
		if (size !== undefined) {
			layers.set(digest, size);
			continue;
		}
		// A registry writes the content first, so a link that was there before the content was looked for leads nowhere.
		let fixed: Finding["fixed"];
		if (fix) {
			const path = repository.layerLink(digest);
			fixed = isEmpty(path) ? healEmpty(store, path, digest) : removeLink(path);
		}
		report(
			broken === undefined ? "orphan-layer-link" : "broken-layer-link",
			digest,
			broken ?? `its content is not in ${store.blobPath(digest)}`,
			fixed ? { fixed } : {},
		);
	}
	return layers;
}

/**
 * An empty link is what a full disk or a crash leaves of a push, and the registry answers 500 for it, also to who pushes
 * that again. It gets its digest again where the content is whole. Else it goes, and with it content that is not what it
 * should be. Undefined where the content is just being written: nothing is done then.
 */
function healEmpty(store: Store, link: string, digest: string): Finding["fixed"] {
	if (store.blobSize(digest) !== undefined) {
		if (store.isWhole(digest)) {
			writeFileSync(`${link}.again`, digest);
			renameSync(`${link}.again`, link);
			return "written again";
		}
		if (isYoung(store.blobPath(digest))) return undefined;
		store.setAside(digest);
	}
	return removeLink(link);
}

function removeLink(link: string): "removed" {
	rmSync(dirname(link), { recursive: true, force: true });
	return "removed";
}

function scanManifests(
	store: Store,
	repository: Repository,
	layers: Layers,
	options: ScanOptions,
	report: Report,
): void {
	if (repository.tags().length > 0 && !repository.hasRevisions()) {
		report("missing-revisions", "_manifests/revisions", "there are tags, but no manifests");
	}
	for (const digest of repository.revisions()) {
		options.pause?.();
		const link = repository.revision(digest);
		if (isMissing(link)) continue; // Deleted through the API: the folder stays.
		if (isBeingWritten(repository.revisionLink(digest), link)) continue;
		const broken = wrongWith(link, digest);
		if (broken !== undefined) {
			const path = repository.revisionLink(digest);
			const fixed = options.fix && isEmpty(path) ? healEmpty(store, path, digest) : undefined;
			report("broken-revision-link", digest, broken, fixed ? { fixed } : {});
			if (fixed !== "written again") continue;
		}
		scanManifest(store, repository, layers, digest, options, report);
	}
	for (const tag of repository.tags()) {
		const link = repository.tag(tag);
		if ("problem" in link) {
			if (!isBeingWritten(repository.tagLink(tag), link, repository.tagFolder(tag)))
				report("broken-tag-link", tag, link.problem);
		} else if (!hasRevision(repository, link.digest)) {
			report("orphan-tag", tag, `names ${link.digest}, which this repository does not have`);
		}
	}
}

function scanManifest(
	store: Store,
	repository: Repository,
	layers: Layers,
	digest: string,
	{ deep = false }: ScanOptions,
	report: Report,
): void {
	if (store.blobSize(digest) === undefined) {
		report("missing-manifest", digest, "its content is gone");
		return;
	}
	const content = store.readBlob(digest);
	let manifest: ReturnType<typeof parseManifest>;
	try {
		manifest = parseManifest(content);
	} catch (error) {
		if (!(error instanceof ManifestError)) throw error;
		report("unreadable-manifest", digest, error.message);
		return;
	}
	const found = digestOf(content, digest);
	if (found !== digest) {
		report("wrong-content", digest, `its content has the digest ${found}`);
		return;
	}
	if (manifest.kind === "index")
		for (const child of manifest.manifests) scanChild(store, repository, digest, child, report);
	for (const blob of manifest.blobs) if (!blob.foreign) scanBlob(store, repository, layers, digest, blob, deep, report);
}

function scanChild(store: Store, repository: Repository, index: string, child: Descriptor, report: Report): void {
	const size = store.blobSize(child.digest);
	if (!hasRevision(repository, child.digest)) {
		const there = store.isWhole(child.digest);
		const detail = `lacks its child ${child.digest}, whose content ${there ? "is still there" : "is gone, too"}`;
		const { digest, mediaType } = child;
		const relinkable = { digest, ...(mediaType !== undefined && { mediaType }) };
		report("orphan-child", index, detail, there ? { relinkable } : {});
	} else if (child.size !== undefined && size !== undefined && size !== child.size) {
		report("wrong-size", index, `needs ${child.digest} with ${child.size} bytes, and ${size} are there`);
	}
}

function scanBlob(
	store: Store,
	repository: Repository,
	layers: Layers,
	manifest: string,
	blob: Descriptor,
	deep: boolean,
	report: Report,
): void {
	// What is named by another algorithm is stored under the name that its link leads to.
	const known = layers.get(blob.digest);
	const link = known === undefined ? repository.layer(blob.digest) : { digest: blob.digest };
	const stored = repository.storedDigest(blob.digest);
	const size = known ?? store.blobSize(stored);
	if (algorithmOf(blob.digest) !== "sha256" && "problem" in link)
		report("missing-layer-link", manifest, `needs ${blob.digest}, which ${link.problem} in this repository`);
	else if (size === undefined) report("missing-blob", manifest, `needs ${blob.digest}, whose content is gone`);
	else if (blob.size !== undefined && size !== blob.size)
		report("wrong-size", manifest, `needs ${blob.digest} with ${blob.size} bytes, and ${size} are there`);
	// Where nothing says how long it should be, only its digest tells whether it is whole.
	else if (
		(deep || blob.size === undefined) &&
		(store.digestOf(stored) !== stored || store.digestOf(stored, blob.digest) !== blob.digest)
	)
		report("wrong-content", manifest, `needs ${blob.digest}, whose content has another digest`);
	// A link that is there and broken is a finding of its own.
	else if (isMissing(link))
		report("missing-layer-link", manifest, `needs ${blob.digest}, which is there, but not linked in this repository`);
}

/** What is wrong with the link of a digest, if anything: it has to lead to just that. */
function wrongWith(link: Link, digest: string): string | undefined {
	if ("problem" in link) return link.problem;
	return link.digest === digest ? undefined : `leads to ${link.digest}`;
}

function hasRevision(repository: Repository, digest: string): boolean {
	return wrongWith(repository.revision(digest), digest) === undefined;
}

function isMissing(link: Link): boolean {
	return "problem" in link && link.problem === "has no link file";
}

/** A link's folder exists for a moment before the link does, and the link for a moment before its content. */
function isBeingWritten(path: string, link: Link, folder = dirname(path)): boolean {
	if (!("problem" in link)) return false;
	return isYoung(path) || isYoung(folder);
}

function isEmpty(link: string): boolean {
	return statSync(link, { throwIfNoEntry: false })?.size === 0;
}

/** Written less than a minute ago. */
function isYoung(path: string): boolean {
	return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 60_000;
}
