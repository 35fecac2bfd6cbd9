/** The `host` plugin's resource types, as the program declares them. */
import * as pulumi from "@pulumi/pulumi";
import type { Connection } from "./ssh.ts";

/** One managed file. */
export interface ManagedFile {
	/** The content; mark it with `pulumi.secret` where it holds one. */
	content: pulumi.Input<string>;
	/** Octal, four digits, for example `0644`. */
	mode: string;
	/** `user:group`, by name. */
	owner: string;
	/** Groups that have to react when this file changes; each has a revision in `FileSet.revisions`. */
	notify: string[];
	/** For people, in previews: what happens because this file changed, for example "nginx is restarted". */
	reaction: string;
	/**
	 * Set where only a part of a YAML file is declared: the keys that lead to one mapping in it. `content` is then a
	 * YAML mapping of the keys that are ours there; everything else in the file stays as it is, and the file stays
	 * when it is no longer declared. The mapping that it is in has to exist.
	 */
	within?: string[];
}

/** What has to be so on the host before anything is staged. */
export interface Precondition {
	/** A shell script that exits 0 where it is so. */
	run: string;
	/** A shell script that makes it so; `run` then decides. */
	remedy?: string;
	/** For people: what is wrong where it is not so, for example "Docker does not run there". */
	problem: string;
	/** For people: what to do about it, where there is no remedy or it did not help. */
	advice: string;
}

/**
 * A shell script that judges staged files before they become live; it runs when one of `files` changes.
 * `$(staged PATH)` is where the new content of PATH is, or PATH itself where that doesn't change; `$revision` is the
 * revision that the files will have.
 */
export interface Check {
	name: string;
	run: string;
	files: string[];
}

/** Something on the host that is not a file: what a shell script prints has to be `state`, or the groups act. */
export interface Condition {
	run: string;
	/** The whole output, newlines included. */
	state: string;
	notify: string[];
	/** For people, in previews: what happens because this is not so. */
	reaction: string;
}

export interface FileSetArgs {
	/** Names this set's records on the host; one host may have several sets. */
	name: string;
	connection: pulumi.Input<Connection>;
	preconditions: Precondition[];
	checks: Check[];
	/** By a name for people. Looked at on every refresh. */
	conditions: Record<string, Condition>;
	/** By absolute path. What leaves this record is removed from the host, unless only a part of it was declared. */
	files: Record<string, ManagedFile>;
}

/** All managed files of one host: read on every refresh, replaced together or not at all. */
export class FileSet extends pulumi.CustomResource {
	/** By group: a string that is new whenever a file of that group was changed on the host. */
	declare readonly revisions: pulumi.Output<Record<string, string>>;

	constructor(name: string, args: FileSetArgs, options?: pulumi.CustomResourceOptions) {
		const outputs = { revisions: undefined, owed: undefined, interrupted: undefined };
		super("host:index:FileSet", name, { ...args, connection: pulumi.secret(args.connection), ...outputs }, options);
	}
}
