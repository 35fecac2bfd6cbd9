/**
 * npm run break-glass -- save IMAGE FILE | load FILE IMAGE: keeps a copy of an image, the CI image for example, in a file
 * beside the registry, and puts it back. Exit status 0 it was done, 1 it was not.
 */
import { Command } from "commander";
import { ExpectedError } from "../host/expectedError.ts";
import { ArchiveError, type Copied, loadImage, saveImage } from "../oci/archive.ts";
import { CredentialsError } from "../oci/credentials.ts";
import { parseReference, type Reference } from "../oci/reference.ts";
import { type Registry, RegistryError } from "../oci/registry.ts";
import { read, withProgress } from "./progress.ts";
import { type ReachOptions, reachRegistry } from "./reachRegistry.ts";
import { stackConfig } from "./stack.ts";

/** The command was called wrongly; the message says how. */
class UsageError extends ExpectedError {}

const program = new Command()
	.name("npm run break-glass --")
	.description(
		"Keep a copy of an image in a file, and put it back. User and password are those of REGISTRY_USER and REGISTRY_PASSWORD, else docker's, else those of --stack.",
	)
	.option("--stack <name>", "a stack whose password and CA may be used; it is not needed where there are others")
	.option("--ca <file>", "trust this CA instead of the system's")
	.option("--plain-http", "without TLS", false);
program
	.command("save <image> <file>")
	.description("write the image to the file, every piece of it checked; docker load and crane push take the file, too")
	.action((image: string, file: string) =>
		withRegistry(image, async (registry, reference) => {
			const copied = await saveImage(registry, reference, image, file);
			return `${file} has ${image}, whole: ${told(copied)}`;
		}),
	);
program
	.command("load <file> <image>")
	.description("put the image of the file into the registry, under that name")
	.action((file: string, image: string) =>
		withRegistry(image, async (registry, reference) => {
			if (reference.reference.includes(":")) throw new UsageError(`${image}: the name to load it as needs a tag`);
			return `${image} is there again: ${told(await loadImage(file, registry, reference))}`;
		}),
	);
await program.parseAsync().catch((error: unknown) => {
	const expected = [ExpectedError, RegistryError, CredentialsError, ArchiveError].some((type) => error instanceof type);
	console.error(expected ? (error as Error).message : error);
	process.exitCode = 1;
});

async function withRegistry(image: string, work: (registry: Registry, reference: Reference) => Promise<string>) {
	const reference = parseReference(image);
	if (reference === undefined) throw new UsageError(`"${image}" is not of the form registry/repository:tag`);
	const { stack, ...options } = program.opts<ReachOptions & { stack?: string }>();
	const config = stack === undefined ? undefined : await stackConfig(stack);
	const registry = await reachRegistry(reference.registry, options, config);
	try {
		console.log(await withProgress(work(registry, reference), () => read(registry)));
	} finally {
		registry.close();
	}
}

function told({ digest, manifests, blobs, bytes }: Copied): string {
	return `${digest}, ${manifests} manifests, ${blobs} blobs, ${(bytes / 1e6).toFixed(1)} MB`;
}
