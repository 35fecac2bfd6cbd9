/** Fills each upstream registry with a repository that no other has. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tarball } from "../host/tarball.ts";
import { caches } from "./estate.ts";
import { type Step, until } from "./run.ts";

/** `addresses`: by cache name, where its upstream is reached from here. Resolves with what was missing. */
export async function fillUpstreams(
	step: Step,
	addresses: Record<string, string>,
	env: Record<string, string>,
): Promise<string[]> {
	const filled: string[] = [];
	for (const { name, upstream } of caches) {
		const image = `${addresses[name]}/${upstream.repository}:1`;
		await until(`the upstream registry of ${name} answers`, 30, () =>
			fetch(`http://${addresses[name]}/v2/`).then(
				({ ok }) => ok,
				() => false,
			),
		);
		if (await step.ask("crane", ["digest", image], { env })) continue;
		const folder = await mkdtemp(join(tmpdir(), "homelab-lab-"));
		try {
			const layer = join(folder, "layer.tar");
			await writeFile(layer, await tarball([{ name: "from", mode: 0o644, content: `${name}\n` }]));
			await step.run("crane", ["append", "--new_layer", layer, "--new_tag", image], { env });
		} finally {
			await rm(folder, { recursive: true, force: true });
		}
		filled.push(name);
	}
	return filled;
}
