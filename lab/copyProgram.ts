/** A copy of this program, whose code and config may be changed: Pulumi writes a stack's config beside the program. */
import { cp, symlink } from "node:fs/promises";
import { join } from "node:path";
import { checkout } from "./paths.ts";

/** Copies the checkout into that folder, which may exist; it shares the packages that are installed. */
export async function copyProgram(folder: string): Promise<void> {
	const skipped = ["node_modules", ".git", "out"].map((name) => join(checkout, name));
	await cp(checkout, folder, { recursive: true, filter: (source) => !skipped.includes(source) });
	await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
}
