/** An image's full name, taken apart. */
export interface Reference {
	/** Host, and port if there is one. */
	registry: string;
	repository: string;
	/** A tag, or a digest. */
	reference: string;
}

/** Undefined where the text is not of the form `registry/repository:tag` or `registry/repository@sha256:digest`. */
export function parseReference(image: string): Reference | undefined {
	const parts = /^([^/]+)\/([a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*)(?::([\w][\w.-]*)|@(sha256:[0-9a-f]{64}))$/.exec(
		image,
	);
	if (parts === null) return undefined;
	const [, registry, repository, tag, digest] = parts as unknown as [string, string, string, string?, string?];
	return { registry, repository, reference: tag ?? (digest as string) };
}
