/** Walks images from their manifests to their last layers, and reports all that is missing or not what it should be. */
import { type Descriptor, digestOf, MANIFEST_TYPES, type Manifest, ManifestError, parseManifest } from "./manifest.ts";
import { type Registry, RegistryError } from "./registry.ts";

export interface Defect {
	repository: string;
	/** The tags and digests the walk began with that need what is broken. */
	references: string[];
	/** What is broken: a digest, or a tag that leads nowhere. */
	subject: string;
	/** What was expected and what came, a sentence without its subject. */
	detail: string;
}

export interface Walk {
	defects: Defect[];
	/** Questions that the registry did not answer, as sentences. */
	inconclusive: string[];
	/** How many of those that it was to begin with were begun: all, unless it was told to stop. */
	begun: number;
	manifests: number;
	/** Among the manifests. */
	indexes: number;
	blobs: number;
}

export interface WalkOptions {
	/** Which blobs to read whole and check by their digest; the others are asked for their length and last byte. */
	deep?: (digest: string) => boolean;
	/** Asked before each reference: true where it is not to be begun any more, nor any after it. Never by default. */
	isOver?: () => boolean;
}

/** A config is JSON; a larger one is taken for no config. */
const CONFIG_LIMIT = 8 * 1024 * 1024;
const IMAGE_CONFIGS = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/** References that are walked side by side: more than the client's connections only wait in memory. */
const SIDE_BY_SIDE = 8;

/** What was found of one thing, without who asked for it. */
interface Found {
	subject: string;
	detail: string;
}

/** A manifest or blob, as far as it is the same whoever refers to it. */
interface Visit {
	/** What is wrong with it and below it. */
	found: Found[];
	size?: number;
	mediaType?: string;
	/** Of an image config. */
	platform?: { os?: string | undefined; architecture?: string | undefined };
	/** Of an image's manifest that could be read: its first blob, which may be its config. */
	first?: Descriptor | undefined;
	/** True where the registry does not have it at all. */
	missing?: true;
}

/** Every descriptor is visited once, whichever references lead to it, and no defect hides another. */
export async function walk(
	registry: Registry,
	repository: string,
	references: string[],
	{ deep = () => false, isOver = () => false }: WalkOptions = {},
): Promise<Walk> {
	// A registry may have hundreds of thousands of layers, so of a layer that is whole only its size is kept in memory.
	const manifests = new Map<string, Promise<Visit>>();
	const blobs = new Map<string, Promise<Visit> | Visit | number>();
	const result: Walk = { defects: [], inconclusive: [], begun: 0, indexes: 0, manifests: 0, blobs: 0 };
	const defects = new Map<string, Defect>();

	const worker = async () => {
		while (result.begun < references.length && !isOver()) {
			const reference = references[result.begun++] as string;
			note(reference, (await manifest(reference)).found);
		}
	};
	await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
	const order = new Map(references.map((reference, i) => [reference, i]));
	const position = (reference: string) => order.get(reference) ?? 0;
	for (const defect of defects.values()) defect.references.sort((a, b) => position(a) - position(b));
	result.defects = [...defects.values()];
	return result;

	function note(reference: string, found: Found[]): void {
		for (const { subject, detail } of found) {
			const key = `${subject} ${detail}`;
			const known = defects.get(key);
			if (known === undefined) defects.set(key, { repository, references: [reference], subject, detail });
			else if (!known.references.includes(reference)) known.references.push(reference);
		}
	}

	/** A question without an answer is noted, and nothing is found. */
	function answered(visiting: Promise<Visit>): Promise<Visit> {
		return visiting.catch((error: unknown) => {
			if (!(error instanceof RegistryError)) throw error;
			result.inconclusive.push(error.message);
			return { found: [] };
		});
	}

	/** What is known of a blob, or what is being found out; said at once, so that nobody else begins meanwhile. */
	function blobVisit(digest: string): Promise<Visit> | Visit | undefined {
		const known = blobs.get(digest);
		return typeof known === "number" ? { found: [], size: known } : known;
	}

	/** Visits a blob once. */
	async function onceBlob(digest: string, visit: () => Promise<Visit>): Promise<Visit> {
		const known = blobVisit(digest);
		if (known !== undefined) return known;
		const visiting = answered(visit());
		blobs.set(digest, visiting);
		const visited = await visiting;
		const isPlain = visited.found.length === 0 && visited.size !== undefined && visited.platform === undefined;
		blobs.set(digest, isPlain ? (visited.size as number) : visited);
		return visited;
	}

	/** A tag and its digest are two requests, but what is below them is visited once. */
	function manifest(reference: string): Promise<Visit> {
		const known = manifests.get(reference);
		if (known !== undefined) return known;
		const visiting = answered(visitManifest(reference));
		manifests.set(reference, visiting);
		return visiting;
	}

	async function visitManifest(reference: string): Promise<Visit> {
		const { status, body, digest: said, mediaType } = await registry.manifest(repository, reference);
		const wrong = (detail: string, more: Partial<Visit> = {}) => ({
			found: [{ subject: reference, detail }],
			...more,
		});
		if (status === 404) return wrong("is not there: the registry answered 404", { missing: true });
		if (status !== 200) return wrong(`can't be had: the registry answered ${status}`);
		const digest = digestOf(body, reference);
		const expected = reference.startsWith("sha256:") ? reference : said;
		if (expected !== undefined && digest !== expected)
			return wrong(`has ${body.length} bytes with the digest ${digest} instead of ${expected}`);
		if (digest !== reference) {
			const same = manifests.get(digest);
			if (same !== undefined) return same;
		}
		const visit = parsed(reference, digest, body, mediaType);
		manifests.set(digest, visit);
		return visit;
	}

	async function parsed(reference: string, digest: string, body: Buffer, mediaType?: string): Promise<Visit> {
		result.manifests++;
		let content: Manifest;
		try {
			content = parseManifest(body);
		} catch (error) {
			if (!(error instanceof ManifestError)) throw error;
			return { found: [{ subject: reference, detail: error.message }], size: body.length };
		}
		if (content.kind === "index") result.indexes++;
		const below = await Promise.all([
			...(content.kind === "index" ? content.manifests.map((child) => visitChild(child)) : []),
			...content.blobs
				.filter(({ foreign }) => !foreign)
				.map((blob, i) => visitBlob(blob, content.kind === "image" && i === 0)),
			...(content.subject === undefined ? [] : [visitSubject(content.subject)]),
		]);
		return {
			found: unique(below.flat()),
			size: body.length,
			...(MANIFEST_TYPES.includes(mediaType ?? "") && { mediaType: mediaType as string }),
			...(content.kind === "image" && { first: content.blobs[0] }),
		};

		async function visitChild(child: Descriptor): Promise<Found[]> {
			const visit = await manifest(child.digest);
			return [...visit.found, ...contradictions(child, visit), ...(await wrongPlatform(child, visit))];
		}

		/** What an image is about need not be in the same registry; where it is, it has to be whole. */
		async function visitSubject(subject: Descriptor): Promise<Found[]> {
			const visit = await manifest(subject.digest);
			return visit.missing ? [] : [...visit.found, ...contradictions(subject, visit)];
		}

		async function visitBlob(blob: Descriptor, isConfig: boolean): Promise<Found[]> {
			const small = isConfig && (blob.size ?? 0) <= CONFIG_LIMIT && blob.size !== undefined;
			const visit = await onceBlob(blob.digest, () => (small ? config(blob) : asked(blob)));
			return [...visit.found, ...contradictions(blob, visit)];
		}

		async function wrongPlatform({ platform: wanted }: Descriptor, visit: Visit): Promise<Found[]> {
			if (wanted === undefined || wanted.os === "unknown") return [];
			const { first } = visit;
			if (first?.mediaType === undefined || !IMAGE_CONFIGS.includes(first.mediaType)) return [];
			const { platform } = (await blobVisit(first.digest)) ?? {};
			if (platform === undefined) return [];
			const { os, architecture } = platform;
			// A platform is compared only where the index and the config both say it.
			const same = (a: unknown, b: unknown) => a === undefined || b === undefined || a === b;
			if (same(os, wanted.os) && same(architecture, wanted.architecture)) return [];
			const detail = `is for ${os}/${architecture}, and the index ${digest} says ${wanted.os}/${wanted.architecture}`;
			return [{ subject: first.digest, detail }];
		}
	}

	/** A config is small enough to be read whole, and says for which platform the image is. */
	async function config({ digest, size, mediaType }: Descriptor): Promise<Visit> {
		result.blobs++;
		const { status, body } = await registry.blob(repository, digest, size as number);
		if (status !== 200) return { found: [unhad(digest, status)] };
		if (digestOf(body, digest) !== digest)
			return {
				found: [{ subject: digest, detail: `has ${body.length} bytes with another digest, instead of ${size}` }],
			};
		const visit = { found: [], size: body.length };
		if (mediaType === undefined || !IMAGE_CONFIGS.includes(mediaType)) return visit;
		try {
			const { os, architecture } = JSON.parse(body.toString());
			const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
			return { ...visit, platform: { os: text(os), architecture: text(architecture) } };
		} catch {
			return { found: [{ subject: digest, detail: "is no image config: it is not a JSON object" }], size: body.length };
		}
	}

	async function asked({ digest, size }: Descriptor): Promise<Visit> {
		result.blobs++;
		// Without a size in the descriptor, the length that the registry gives may be that of a truncated file.
		if (deep(digest) || size === undefined) return readWhole(digest, size);
		// A registry may answer HEAD from memory for a blob that is gone; for the last byte it has to read the file.
		const last = size > 0 ? await registry.lastByte(repository, digest, size) : undefined;
		if (last?.status === 206 && last.body.length === 1 && last.total === size) return { found: [], size };
		if (last?.status === 404) return { found: [unhad(digest, 404)] };
		// The descriptor's size is wrong, or the registry leaves out the length of the blob.
		const head = await registry.head(repository, digest);
		if (head.status !== 200) return { found: [unhad(digest, head.status)] };
		// The registry's length, not this descriptor's: other manifests may refer to the blob with the right size.
		const length = head.length ?? size;
		if (length === 0) return { found: [], size: 0 };
		const end = last && length === size ? last : await registry.lastByte(repository, digest, length);
		if (end.status === 200) return readWhole(digest, size); // It does not know ranges.
		if (end.status === 206 && end.body.length === 1) return { found: [], size: length };
		if (end.status === 416 && head.length === undefined) return readWhole(digest, size);
		const detail = `can't be read to its end: the registry answered ${end.status} with ${end.body.length} bytes`;
		return { found: [{ subject: digest, detail }] };
	}

	async function readWhole(digest: string, size: number | undefined): Promise<Visit> {
		const read = await registry.digest(repository, digest);
		if (read.status !== 200) return { found: [unhad(digest, read.status)] };
		if (read.digest === digest) return { found: [], size: read.size };
		const wanted = size === undefined ? "" : `, instead of ${size}`;
		return { found: [{ subject: digest, detail: `has ${read.size} bytes with another digest${wanted}` }] };
	}
}

function unhad(subject: string, status: number): Found {
	return {
		subject,
		detail:
			status === 404 ? "is not there: the registry answered 404" : `can't be had: the registry answered ${status}`,
	};
}

/** Where what came is not what the descriptor says of it. */
function contradictions({ digest, size, mediaType }: Descriptor, visit: Visit): Found[] {
	const found: Found[] = [];
	if (size !== undefined && visit.size !== undefined && size !== visit.size)
		found.push({ subject: digest, detail: `has ${visit.size} bytes instead of ${size}` });
	if (visit.mediaType !== undefined && mediaType !== undefined && mediaType !== visit.mediaType)
		found.push({ subject: digest, detail: `is a ${visit.mediaType} instead of a ${mediaType}` });
	return found;
}

function unique(found: Found[]): Found[] {
	return [...new Map(found.map((one) => [`${one.subject} ${one.detail}`, one])).values()];
}
