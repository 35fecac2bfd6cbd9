/** Walks every image of the registry at that URL, as the probe does, without asking first whose registry it is. */
import { readFileSync } from "node:fs";
import { Registry } from "../oci/registry.ts";
import { walk } from "../oci/walk.ts";

const { REGISTRY_USER: user = "", REGISTRY_PASSWORD: password = "", REGISTRY_CA = "" } = process.env;
const registry = new Registry({
	url: process.argv[2] as string,
	credentials: { user, password },
	ca: readFileSync(REGISTRY_CA, "utf8"),
});
for (const repository of await registry.catalog()) {
	const { defects, inconclusive } = await walk(registry, repository, await registry.tags(repository));
	if (defects.length + inconclusive.length > 0) throw new Error(`${repository} is not whole`);
}
registry.close();
