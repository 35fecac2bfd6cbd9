import type { ManagedFile } from "./fileSetSchema.ts";

/** One file on a host as it was rendered, before Pulumi gets it. */
export interface RenderedFile extends ManagedFile {
	/** True where the content must not be shown: in state, previews or logs. */
	secret: boolean;
}

/** Files by absolute path. */
export type RenderedFiles = Record<string, RenderedFile>;

interface Options {
	/** The groups that react. None by default. */
	notify?: string[];
	/** False by default. */
	secret?: boolean;
	/** 0600 for a secret and 0644 for everything else by default. */
	mode?: string;
	yamlPath?: string[];
	removalEffect?: string;
}

/** A file of root's. */
export function managedFile(
	content: string,
	effect: string,
	{ notify = [], secret = false, mode = secret ? "0600" : "0644", ...more }: Options = {},
): RenderedFile {
	return { content, secret, mode, owner: "root:root", notify, effect, ...more };
}
