import { remote } from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import type { FileSet } from "./resources.ts";

/**
 * A remote.Command on a FileSet's host that only its triggers run. Without an `update` of its own, a new SSH key would
 * run `create` again. It reaches the host as the FileSet last reached it, so that a host that is down fails once.
 */
export function triggeredCommand(
	name: string,
	files: FileSet,
	args: Omit<remote.CommandArgs, "connection" | "update">,
	options: pulumi.CustomResourceOptions,
): remote.Command {
	return new remote.Command(
		name,
		{ connection: files.connection, addPreviousOutputInEnv: false, update: ":", ...args },
		options,
	);
}
