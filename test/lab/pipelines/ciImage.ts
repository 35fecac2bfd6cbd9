/** Builds `ci/Dockerfile`, from stand-ins for what it begins with and for the places of Pulumi's releases and plugins. */
import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Engine, findEngine } from "../../../lab/engine.ts";
import { buildCiBase } from "../../../lab/images.ts";
import { Step } from "../../../lab/run.ts";
import { checkout, docker, env, type Outcome, run } from "../lab.ts";

/** The version of Pulumi that it fetches. */
const VERSION = (await run("sed", ["-n", "s/^ARG PULUMI_VERSION=//p", join(checkout, "ci/Dockerfile")])).stdout;
export const ARCHIVE = `pulumi-v${VERSION}-linux-x64.tar.gz`;

export interface CiImage extends AsyncDisposable {
	/** The stand-in for the official Node.js image. */
	base: string;
	/** For `docker build`. */
	buildArgs: string[];
	/** Builds the Dockerfile of a clone by that name; `checksum` is what the archive's is said to be. */
	build(clone: string, name: string, checksum?: string): Promise<Outcome>;
}

/** The archive goes into the folder. */
export async function ciImage(folder: string): Promise<CiImage> {
	const step = new Step("ci-image");
	const base = await buildCiBase((await findEngine(step)) as Engine, step);
	const archive = join(folder, ARCHIVE);
	const find = async (file: string) => (await run("sh", ["-c", 'command -v "$0"', file])).stdout;
	const files = await Promise.all(["pulumi", "pulumi-language-nodejs"].map(find));
	const tar = ["--create", "--dereference", "--use-compress-program=gzip -1", "--transform=s,.*/,pulumi/,"];
	const { exitCode, output } = await run("tar", [...tar, "--absolute-names", `--file=${archive}`, ...files]);
	if (exitCode !== 0) throw new Error(output);
	const right = (await run("sha256sum", [archive])).stdout.slice(0, 64);
	let said = right;
	const releases = createServer((request, response) => {
		const [, plugin] = /^\/(pulumi-resource-[a-z]+)-v[\d.]+-linux-amd64\.tar\.gz$/.exec(request.url ?? "") ?? [];
		if (plugin !== undefined) {
			const from = join(checkout, "lab/plugins", plugin.replace("pulumi-resource-", ""));
			// Whole, because Pulumi wants to know how long it is.
			response.end(execFileSync("tar", ["--create", "--gzip", "--directory", from, plugin]));
		} else if (request.url === `/v${VERSION}/${ARCHIVE}`) createReadStream(archive).pipe(response);
		else if (request.url === `/v${VERSION}/pulumi-${VERSION}-checksums.txt`)
			response.end(`${"0".repeat(64)}  pulumi-v${VERSION}-linux-arm64.tar.gz\n${said}  ${ARCHIVE}\n`);
		else response.writeHead(404).end();
	});
	await new Promise<void>((resolve) => releases.listen(0, "127.0.0.1", resolve));
	const { port } = releases.address() as AddressInfo;
	const url = `http://127.0.0.1:${port}`;
	const args = { BASE: base, RELEASES: url, PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES: `.*=${url}` };
	const given = Object.entries(args).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
	const buildArgs = ["--network", "host", "--force-rm", ...given];
	const names: string[] = [];
	return {
		base,
		buildArgs,
		async build(clone, name, checksum = right) {
			said = checksum;
			names.push(name);
			// The client's old builder knows the host's network without being allowed to.
			const engine = { DOCKER_HOST: env("LAB_DOCKER_HOST"), DOCKER_BUILDKIT: "0" };
			const command = ["build", "--no-cache", "--tag", name, ...buildArgs, "ci"];
			const outcome = await run("docker", command, { cwd: clone, env: engine });
			said = right;
			return outcome;
		},
		async [Symbol.asyncDispose]() {
			releases.close();
			if (names.length > 0) await docker("rmi", "--force", ...names);
		},
	};
}
