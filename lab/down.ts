/** `make lab-down` and `make lab-clean`. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Engine, findEngine, hasOwnEngine, startEngine, stopEngine } from "./engine.ts";
import { LABEL } from "./estate.ts";
import { lock } from "./lock.ts";
import { cache, checkout } from "./paths.ts";
import { Step } from "./run.ts";

/** Stops the lab's containers, and the engine where it is the lab's own. */
export async function down(): Promise<void> {
	await using _lock = await lock();
	const step = new Step("down");
	const engine = await engineToStop(step);
	if (engine !== undefined) {
		const containers = await containersOf(engine, step);
		if (containers.length > 0) await engine.docker(step, ["stop", "-t", "20", ...containers]);
	}
	await stopEngine();
	console.log("the lab is down; make lab brings it back as it was built");
}

/** The engine to take down: the lab's own is started once more where it died and left containers. */
async function engineToStop(step: Step): Promise<Engine | undefined> {
	return (await hasOwnEngine()) ? startEngine(step) : findEngine(step);
}

async function list(engine: Engine, step: Step, args: string[]): Promise<string[]> {
	return (await engine.docker(step, args)).split("\n").filter(Boolean);
}

function containersOf(engine: Engine, step: Step): Promise<string[]> {
	return list(engine, step, ["ps", "--all", "--quiet", "--filter", `label=${LABEL}`]);
}

/** Removes all that the lab ever made, but for the Debian packages of this machine. */
export async function clean(): Promise<void> {
	{
		await using _lock = await lock();
		const step = new Step("clean");
		const engine = await engineToStop(step);
		if (engine !== undefined) {
			const containers = await containersOf(engine, step);
			if (containers.length > 0) await engine.docker(step, ["rm", "--force", "--volumes", ...containers]);
			const networks = await list(engine, step, ["network", "ls", "--quiet", "--filter", `label=${LABEL}`]);
			if (networks.length > 0) await engine.docker(step, ["network", "rm", ...networks]);
			if (!engine.ours) await removeImages(engine, step); // Ours goes with all it has.
		}
		await stopEngine();
	}
	await rm(cache, { recursive: true, force: true });
	for (const stack of ["lab", "second"]) await rm(join(checkout, `Pulumi.${stack}.yaml`), { force: true });
	console.log("nothing of the lab is left");
}

/** From an engine that is not ours. Everything is built on the base, which goes last, and has its label. */
async function removeImages(engine: Engine, step: Step): Promise<void> {
	const args = ["images", "--filter", "reference=homelab-lab/*", "--format", "{{.Repository}}:{{.Tag}}"];
	const images = await list(engine, step, args);
	const [bases, others] = [true, false].map((isBase) =>
		images.filter((image) => image.startsWith("homelab-lab/base:") === isBase),
	) as [string[], string[]];
	if (others.length > 0) await engine.docker(step, ["rmi", "--force", ...others]);
	// What the stages of a build leave behind has no name.
	await engine.docker(step, ["image", "prune", "--force", "--filter", `label=${LABEL}`]);
	if (bases.length > 0) await engine.docker(step, ["rmi", "--force", ...bases]);
}
