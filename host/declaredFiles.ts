import * as pulumi from "@pulumi/pulumi";
import type { ManagedFiles } from "./managedFile.ts";
import type { FileSetArgs } from "./resources.ts";

/** As a FileSet takes them: content that must not be shown is secret from here on. */
export function declaredFiles(files: ManagedFiles): FileSetArgs["files"] {
	return Object.fromEntries(
		Object.entries(files).map(([path, { secret, content, ...file }]) => [
			path,
			{ ...file, content: secret ? pulumi.secret(content) : content },
		]),
	);
}
