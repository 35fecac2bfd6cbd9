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
}

/** Files by absolute path. */
export type ManagedFiles = Record<string, ManagedFile>;
