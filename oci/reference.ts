/** An image's full name, taken apart. */
export interface Reference {
	/** Host, and port if there is one. */
	registry: string;
	repository: string;
	/** A tag, or a digest, which counts where there are both. */
	reference: string;
}

/** Undefined where the text is not of the form `registry/repository:tag`, with `@sha256:<digest>` behind or instead of the tag. */
export function parseReference(image: string): Reference | undefined {
	const parts =
		/^([^/]+)\/([a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$/.exec(
			image,
		);
	if (parts === null || (parts[3] ?? parts[4]) === undefined) return undefined;
	const [, registry, repository, tag, digest] = parts as unknown as [string, string, string, string?, string?];
	return { registry, repository, reference: digest ?? (tag as string) };
}
