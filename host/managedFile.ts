/** One file on a host: what it should be, and who has to react when it changes. */
export interface ManagedFile {
	content: string;
	/** True where the content must not be shown: in state, previews or logs. */
	secret: boolean;
	/** Octal, four digits. */
	mode: string;
	/** `user:group`. */
	owner: string;
	/** The groups that react, of `compose`, `nginx` and `systemd`. */
	notify: string[];
	/** For people: what happens because this file changed. */
	reaction: string;
	/** Where `content` is only a part of a YAML file: the keys that lead to the mapping it is in. */
	within?: string[];
}

/** Files by absolute path. */
export type ManagedFiles = Record<string, ManagedFile>;

interface Options {
	/** The groups that react; nobody does without it. */
	notify?: string[];
	/** False unless said otherwise. */
	secret?: boolean;
	/** 0644, and 0600 for a secret, unless said otherwise. */
	mode?: string;
	within?: string[];
}

/** A file of root's. */
export function managedFile(
	content: string,
	reaction: string,
	{ notify = [], secret = false, mode = secret ? "0600" : "0644", within }: Options = {},
): ManagedFile {
	return { content, secret, mode, owner: "root:root", notify, reaction, ...(within && { within }) };
}
