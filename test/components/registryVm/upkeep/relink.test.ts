/** How a child is put back; that the real registry takes it is tried in the lab (test/lab/upkeep.test.ts). */
import { rmSync } from "node:fs";
import { expect, it } from "vitest";
import type { Api } from "../../../../components/registryVm/upkeep/api.ts";
import { relink } from "../../../../components/registryVm/upkeep/relink.ts";
import { scan } from "../../../../components/registryVm/upkeep/scan.ts";
import { exampleStore } from "./exampleStore.ts";

it("a child of which neither it nor its index says the type is put back by its form", async () => {
	const example = exampleStore();
	const { digest: config } = example.layer("app", "{}");
	const child = example.manifest("app", { schemaVersion: 2, config: { digest: config }, layers: [] });
	example.manifest("app", { schemaVersion: 2, manifests: [{ digest: child }] }, "latest");
	rmSync(example.store.repository("app").revisionLink(child));
	const found = scan(example.store, { registry: "private", cache: false, fix: false });
	const puts: string[] = [];
	const api: Pick<Api, "putManifest"> = {
		putManifest: async (_, digest, __, mediaType) => {
			puts.push(`${digest} ${mediaType}`);
		},
	};
	expect(await relink(example.store, found, api as Api)).toEqual([{ repository: "app", digest: child }]);
	expect(puts).toEqual([`${child} application/vnd.oci.image.manifest.v1+json`]);
});
