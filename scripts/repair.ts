/**
 * npm run repair -- REGISTRY/REPOSITORY:TAG: says what is missing of an image, puts back what the registry VM still
 * has, and says where the rest may be. Exit status 0 it is whole, 1 it is still broken, 2 the question could not be answered.
 */

import { Command } from "commander";
import { execa } from "execa";
import type { Config } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { disconnect, exec } from "../host/ssh.ts";
import { CredentialsError } from "../oci/credentials.ts";
import { parseReference, type Reference } from "../oci/reference.ts";
import { type Registry, RegistryError } from "../oci/registry.ts";
import { type Walk, walk } from "../oci/walk.ts";
import { read, withProgress } from "./progress.ts";
import { reachRegistry } from "./reachRegistry.ts";
import { hostWith, stackConfig } from "./stack.ts";

/** What was asked can't be done; the message says why. */
class RepairError extends ExpectedError {}

const program = new Command()
	.name("npm run repair --")
	.description(
		"Put a broken image of the private registry right, as far as its pieces can be had. User and password are those of REGISTRY_USER and REGISTRY_PASSWORD, else docker's, else the stack's.",
	)
	.argument("<image>", "registry/repository:tag")
	.option("--stack <name>", "the stack; by default, the one that is selected")
	.option("--host <name>", "the registry VM; by default, the only one")
	.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
	.action(async (image: string, { stack, host }: { stack?: string; host?: string }) => {
		process.exitCode = await repair(image, await stackConfig(stack), host);
	});
try {
	await program.parseAsync();
} catch (error) {
	const expected = [ExpectedError, RegistryError, CredentialsError].some((type) => error instanceof type);
	console.error(expected ? (error as Error).message : error);
	process.exitCode = 2;
} finally {
	await disconnect();
}

async function repair(image: string, config: Config, name: string | undefined): Promise<number> {
	const reference = parseReference(image);
	if (reference === undefined) throw new RepairError(`"${image}" is not of the form registry/repository:tag`);
	const registry = await reachRegistry(reference.registry, {}, config);
	try {
		if (await isWhole(registry, reference)) return end(`${image} is whole`, 0);
		const { connection } = hostWith(config, "registry", name);
		const repairing = exec(connection, `/opt/registry/repair.sh '${reference.repository}'`);
		const { code, stdout, stderr } = await withProgress(repairing, () => `${connection.host} looks for the pieces`);
		process.stdout.write(stdout);
		if (code > 1) throw new RepairError(`${connection.host}: ${stderr.trim()}`);
		if (await isWhole(registry, reference)) return end(`${image} is whole again`, 0);
		for (const line of await elsewhere(registry, image, reference)) console.log(line);
		return end(`${image} is still broken`, 1);
	} finally {
		registry.close();
	}
}

function end(line: string, status: number): number {
	console.log(line);
	return status;
}

/** Everything is read, because what is to be put right need not be missing. */
async function look(registry: Registry, { repository, reference }: Reference): Promise<Walk> {
	const reading = walk(registry, repository, [reference], { deep: () => true });
	const walked = await withProgress(reading, () => read(registry));
	if (walked.defects.length === 0 && walked.inconclusive[0] !== undefined)
		throw new RegistryError(walked.inconclusive[0]);
	return walked;
}

async function isWhole(registry: Registry, reference: Reference): Promise<boolean> {
	const { defects } = await look(registry, reference);
	for (const { subject, detail } of defects) console.log(`broken: ${subject} ${detail}`);
	return defects.length === 0;
}

/** What a person can do, best first. */
async function elsewhere(registry: Registry, image: string, { repository }: Reference): Promise<string[]> {
	const advice: string[] = [];
	const local = await execa("docker", ["image", "inspect", "--format", "{{.Id}}", image], { reject: false });
	if (!local.failed) advice.push(`this machine's Docker has it: docker push ${image}`);
	const tags = await registry.tags(repository);
	const { defects } = await withProgress(walk(registry, repository, tags), () => read(registry));
	const broken = new Set(defects.flatMap(({ references }) => references));
	const whole = tags.filter((tag) => !broken.has(tag));
	if (whole.length > 0) advice.push(`whole tags of the same repository: ${whole.join(", ")}`);
	return [...advice, "build it anew and push it: docs/runbooks/registry-rebuild-image.md"];
}
