/** Pulls from a registry whose disk is being looked at meanwhile. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { Agent, request } from "undici";
import type { Descriptor } from "../oci/manifest.ts";

/** How many clients pull at once, and how many layers each one asks for at once, as Docker does. */
const [CLIENTS, AT_ONCE] = [2, 3];

const ACCEPT = { accept: "application/vnd.oci.image.manifest.v1+json, */*" };

/**
 * Pulls images of that registry, one after the other, for so many seconds, while `beside` runs again and again. Resolves
 * with how long each took, in seconds, the shortest first. Throws where something is not answered.
 */
export async function pullsBeside(
	origin: string,
	ca: string,
	images: { repository: string; tag: string }[],
	seconds: number,
	beside?: string,
): Promise<number[]> {
	const agent = new Agent({ connect: { ca } });
	const get = async (path: string) => {
		const { statusCode, body } = await request(origin + path, { dispatcher: agent, headers: ACCEPT });
		if (statusCode !== 200) throw new Error(`${path} is answered with ${statusCode}`);
		return Buffer.from(await body.arrayBuffer());
	};
	const durations: number[] = [];
	const end = performance.now() + seconds * 1000;
	const other = beside === undefined ? undefined : repeatedly(beside);
	const client = async (first: number) => {
		for (let i = first; performance.now() < end; i += CLIENTS) {
			const { repository, tag } = images[(i * 7919) % images.length] as { repository: string; tag: string };
			const start = performance.now();
			const manifest = JSON.parse((await get(`/v2/${repository}/manifests/${tag}`)).toString());
			const left: Descriptor[] = [manifest.config, ...manifest.layers];
			const fetchAll = async () => {
				for (let next = left.shift(); next !== undefined; next = left.shift())
					await get(`/v2/${repository}/blobs/${next.digest}`);
			};
			await Promise.all(Array.from({ length: AT_ONCE }, fetchAll));
			durations.push((performance.now() - start) / 1000);
		}
	};
	try {
		await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
	} finally {
		await other?.stop();
		await agent.close();
	}
	return durations.sort((a, b) => a - b);
}

/** Runs a command until it is told to stop. */
function repeatedly(command: string): { stop(): Promise<void> } {
	let stopped = false;
	let child = spawn("bash", ["-c", `exec ${command}`], { stdio: "ignore" });
	const again = async () => {
		while (!stopped) {
			await once(child, "close");
			if (!stopped) child = spawn("bash", ["-c", `exec ${command}`], { stdio: "ignore" });
		}
	};
	const all = again();
	return {
		async stop() {
			stopped = true;
			child.kill();
			await all;
		},
	};
}
