/**
 * A registry's API on the VM itself, without its users: a second registry over the same storage, which publishes no
 * port and goes away again. What it writes, the first one serves at once (it keeps nothing in memory).
 */
import { execFileSync } from "node:child_process";
import { digestOf } from "../../../oci/manifest.ts";

/** The registry does not take what it is given; the message has its answer. */
export class ApiError extends Error {}

/** Throws an ApiError where the work does. */
export async function withRegistry<T>(name: string, data: string, work: (api: Api) => Promise<T>): Promise<T> {
	const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8", stdio: "pipe" }).trim();
	const image = docker("inspect", "--format", "{{.Config.Image}}", `registry-${name}`);
	const container = `upkeep-${name}`;
	execFileSync("docker", ["rm", "--force", container], { stdio: "ignore" }); // Of a run that was killed.
	docker("run", "--detach", "--name", container, "--volume", `${data}:/var/lib/registry`, image);
	try {
		const address = docker(
			"inspect",
			"--format",
			"{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
			container,
		);
		const api = new Api(`http://${address}:5000`);
		await api.isUp();
		return await work(api);
	} finally {
		execFileSync("docker", ["rm", "--force", "--volumes", container], { stdio: "ignore" });
	}
}

export class Api {
	readonly #url: string;

	constructor(url: string) {
		this.#url = url;
	}

	async isUp(): Promise<void> {
		const deadline = Date.now() + 30_000;
		for (;;) {
			try {
				if ((await fetch(`${this.#url}/v2/`)).ok) return;
			} catch (error) {
				if (Date.now() > deadline) throw new ApiError("the second registry does not come up", { cause: error });
			}
			await new Promise((resolve) => setTimeout(resolve, 200));
		}
	}

	async putBlob(repository: string, content: Buffer): Promise<{ digest: string; size: number }> {
		const digest = digestOf(content);
		const begun = await this.#send("POST", `/v2/${repository}/blobs/uploads/`);
		const upload = new URL(begun.headers.get("location") as string, this.#url);
		upload.searchParams.set("digest", digest);
		await this.#send("PUT", `${upload.pathname}${upload.search}`, content, "application/octet-stream");
		return { digest, size: content.length };
	}

	/** The reference is a tag or the content's digest. */
	async putManifest(repository: string, reference: string, content: Buffer, mediaType: string): Promise<void> {
		await this.#send("PUT", `/v2/${repository}/manifests/${reference}`, content, mediaType);
	}

	async #send(method: string, path: string, body?: Buffer, type?: string): Promise<Response> {
		const response = await fetch(`${this.#url}${path}`, {
			method,
			...(body && { body: new Uint8Array(body), headers: { "content-type": type as string } }),
		});
		if (!response.ok) throw new ApiError(`${method} ${path}: ${response.status} ${(await response.text()).trim()}`);
		return response;
	}
}
