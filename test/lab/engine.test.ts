/** The engine that the lab started itself, with all that runs in it, dies. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { gateways, proxmox } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { docker, make, run, succeeds } from "./lab.ts";

it("a Docker engine that died is stopped by lab-down, and brought back by make lab, whatever it left", async ({
	skip,
}) => {
	const pid = (await readFile(join(paths.run, "docker.pid"), "utf8").catch(() => "")).trim();
	if (pid === "") skip("the engine is this machine's own, and not ours to kill");
	process.kill(Number(pid), "SIGKILL");
	expect((await make("lab")).output).toContain("The lab is up");

	// A container on the host's network, after which something stays mounted there.
	const image = (await docker("inspect", "--format", "{{.Config.Image}}", proxmox.container)).stdout;
	await docker("run", "--rm", "--network", "host", "--entrypoint", "true", image);
	const again = (await readFile(join(paths.run, "docker.pid"), "utf8")).trim();
	process.kill(Number(again), "SIGKILL");
	expect((await make("lab-down")).output).toContain("the lab is down");
	const { stdout } = await run("pgrep", ["--full", "--list-full", paths.run]);
	expect(stdout).toBe("");
	expect((await make("lab-status")).output).toMatch(/^registry VM +absent/m);

	// A network of an engine whose files somebody has deleted, which would get what is sent to the lab's.
	for (const args of [
		"link add br-0123456789ab type bridge",
		`address add ${gateways[0]}/24 dev br-0123456789ab`,
		"link set br-0123456789ab up",
	])
		await succeeds(run("ip", args.split(" ")));
	expect((await make("lab")).output).toContain("The lab is up");
	expect((await run("ip", ["link", "show", "br-0123456789ab"])).output).toContain("does not exist");
});
