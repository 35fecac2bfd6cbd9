/**
 * npm run verify -- REGISTRY/REPOSITORY:TAG [--tag TAG]: is the image whole? Exit status 0 it is, and it has that other tag,
 * too; 1 it is broken, each missing piece on a line; 2 the question could not be answered, or the tag not be given.
 */

import { Command } from "commander";
import { ExpectedError } from "../host/expectedError.ts";
import { CredentialsError } from "../oci/credentials.ts";
import { digestOf, mediaTypeOf } from "../oci/manifest.ts";
import { parseReference } from "../oci/reference.ts";
import { RegistryError } from "../oci/registry.ts";
import { walk } from "../oci/walk.ts";
import { read, withProgress } from "./progress.ts";
import { type ReachOptions, reachRegistry } from "./reachRegistry.ts";

/** The command was called wrongly; the message says how. */
class UsageError extends ExpectedError {}

interface Options extends ReachOptions {
	deep: boolean;
	tag?: string;
}

const program = new Command()
	.name("npm run verify --")
	.description(
		"Check that every piece of an image is in its registry. User and password are those of REGISTRY_USER and REGISTRY_PASSWORD, else docker's.",
	)
	.argument("<image>", "registry/repository:tag or registry/repository@sha256:digest")
	.option("--ca <file>", "trust this CA instead of the system's")
	.option("--deep", "read every layer and check its digest", false)
	.option("--tag <tag>", "where it is whole, give it this tag, too")
	.option("--plain-http", "without TLS", false)
	.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
	.action(async (image: string, options: Options) => {
		process.exitCode = await verify(image, options);
	});
await program.parseAsync().catch((error: unknown) => {
	const expected = [ExpectedError, RegistryError, CredentialsError].some((type) => error instanceof type);
	if (!expected) console.error(error);
	else console.error(`could not tell: ${(error as Error).message}`);
	process.exitCode = 2;
});

async function verify(image: string, { deep, tag, ...options }: Options): Promise<number> {
	const parsed = parseReference(image);
	if (parsed === undefined) throw new UsageError(`"${image}" is not of the form registry/repository:tag`);
	const { registry: host, repository, reference } = parsed;
	if (tag !== undefined && parseReference(`${host}/${repository}:${tag}`) === undefined)
		throw new UsageError(`"${tag}" is not a tag`);
	const registry = await reachRegistry(host, options);
	try {
		// What gets the tag is what was looked at, byte for byte, whatever is pushed meanwhile.
		const root = tag === undefined ? undefined : await registry.manifest(repository, reference);
		const wanted = root?.status === 200 && !reference.includes(":") ? digestOf(root.body) : reference;
		const walked = walk(registry, repository, [wanted], { deep: () => deep });
		const { defects, inconclusive, manifests, blobs } = await withProgress(walked, () => read(registry));
		for (const { subject, detail } of defects) console.error(`${repository} ${subject} ${detail}`);
		for (const line of inconclusive) console.error(`could not tell: ${line}`);
		if (defects.length > 0) console.log(`${image} is broken in ${defects.length} places`);
		else if (inconclusive.length === 0)
			console.log(`${image} is whole: ${manifests} manifests, ${blobs} blobs${deep ? ", read to the last byte" : ""}`);
		if (defects.length > 0 || inconclusive.length > 0) return defects.length > 0 ? 1 : 2;
		if (tag === undefined || root === undefined) return 0;
		if (digestOf(root.body, wanted) !== wanted)
			throw new RegistryError(`${image} is whole, but ${host} gave other content for it before: it was not tagged`);
		await registry.putManifest(repository, tag, root.body, mediaTypeOf(root.body));
		console.log(`${host}/${repository}:${tag} is ${wanted} now`);
		return 0;
	} finally {
		registry.close();
	}
}
