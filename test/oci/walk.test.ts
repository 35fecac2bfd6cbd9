/** How often the walk asks. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { Registry } from "../../oci/registry.ts";
import { walk } from "../../oci/walk.ts";
import { serve } from "../httpServer.ts";

it("a layer that several tags share, or one image has twice, is asked for once", async () => {
	const layer = {
		mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
		digest: `sha256:${"a".repeat(64)}`,
		size: 7,
	};
	const manifest = (tag: string) =>
		JSON.stringify({
			schemaVersion: 2,
			mediaType: "application/vnd.oci.image.manifest.v1+json",
			config: { mediaType: "application/vnd.example", digest: `sha256:${"b".repeat(64)}`, size: 9 * 1024 * 1024 },
			layers: [layer, layer],
			annotations: { tag },
		});
	const asked: string[] = [];
	const { url } = await serve((request, response) => {
		const [, kind, reference = ""] = /\/(manifests|blobs)\/(.+)$/.exec(request.url ?? "") ?? [];
		if (kind === "manifests") {
			const body = manifest(reference);
			const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
			const headers = { "content-type": "application/vnd.oci.image.manifest.v1+json", "docker-content-digest": digest };
			return response.writeHead(200, headers).end(body);
		}
		asked.push(reference);
		const last = /bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? "0";
		return response.writeHead(206, { "content-range": `bytes ${last}-${last}/${Number(last) + 1}` }).end("x");
	});
	const registry = new Registry({ url });
	const found = await walk(registry, "mine", ["1", "2", "3"]);
	registry.close();
	expect(found).toMatchObject({ defects: [], inconclusive: [], manifests: 3, blobs: 2 });
	expect(asked.sort()).toEqual([layer.digest, `sha256:${"b".repeat(64)}`].sort());
});
