/** The `host` plugin's resource types, as a Pulumi program declares them. */
import * as pulumi from "@pulumi/pulumi";
import type { FileSetInputs } from "./fileSetSchema.ts";

/** A value of which every part may be an output. */
type Deep<T> = pulumi.Input<T extends object ? { [Key in keyof T]: Deep<T[Key]> } : T>;

/** What `FileSet` takes; each property is described in fileSetSchema.ts. `name` and the paths are plain. */
export type FileSetArgs = { [Key in keyof FileSetInputs]: Deep<FileSetInputs[Key]> };

/** All managed files of one host: read on every refresh, judged before they become live, replaced together or not at all. */
export class FileSet extends pulumi.CustomResource {
	/** By group: a string that is new whenever something that the group is notified of changed on the host. */
	declare readonly revisions: pulumi.Output<Record<string, string>>;
	/** How the host was last reached: what is declared, or what was before where that could not be reached. Secret. */
	declare readonly connection: pulumi.Output<FileSetInputs["connection"]>;
	/** Why the host could not be reached, a sentence; empty where it was. */
	declare readonly unreachable: pulumi.Output<string>;

	constructor(name: string, args: FileSetArgs, options?: pulumi.CustomResourceOptions) {
		const outputs = { revisions: undefined, owed: undefined, interrupted: undefined, unreachable: undefined };
		super("host:index:FileSet", name, { ...args, connection: pulumi.secret(args.connection), ...outputs }, options);
	}

	/** The revision of one group: the trigger of what has to react to its changes. */
	revision(group: string): pulumi.Output<string> {
		// What is left out of an update by --target has no outputs yet.
		return this.revisions.apply((revisions: Record<string, string> | undefined) => revisions?.[group] ?? "");
	}
}
