import * as pulumi from "@pulumi/pulumi";
import type { FileSetArgs } from "../provider/resources.ts";
import type { ManagedFiles } from "../render/managedFile.ts";

/** As a FileSet takes them: content that must not be shown is secret from here on. */
export function declaredFiles(files: ManagedFiles): FileSetArgs["files"] {
	return Object.fromEntries(
		Object.entries(files).map(([path, { secret, content, ...file }]) => [
			path,
			{ ...file, content: secret ? pulumi.secret(content) : content },
		]),
	);
}
