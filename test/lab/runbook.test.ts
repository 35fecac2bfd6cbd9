/** Every command of the runbooks, as it stands there, in a lab where all is well. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { privateRegistry, STACK } from "../../lab/estate.ts";
import { begin, checkout, env, leave, onVm, run, up } from "./lab.ts";
import { wipe } from "./pushed.ts";

const folder = `${checkout}/docs/runbooks`;
const runbooks = readdirSync(folder).map((name) => {
	const text = readFileSync(`${folder}/${name}`, "utf8");
	const blocks = [...text.matchAll(/^```sh (vm|pve|checkout|cluster)\n([\s\S]*?)^```$/gm)].map(
		([, place, script]) => [script?.split("\n", 1)[0], place, script] as [string, string, string],
	);
	return { name, text, blocks };
});

/** How one logs in to the registry VM. */
const VM = `-F ${env("LAB_SSH_CONFIG")} registry`;
/** A folder with a Dockerfile. */
let source: string;

beforeAll(async () => {
	await begin();
	source = await mkdtemp(join(tmpdir(), "runbook-test-"));
	await writeFile(join(source, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
	// So that there is a change to go back from.
	await run("ssh", ["-F", env("LAB_SSH_CONFIG"), "pve", "sed -i s/timeout:2/timeout:3/ /etc/resolv.conf"]);
	await up();
	await wipe(); // Other tests break what is stored there.
	await onVm(`node /opt/registry/upkeep.mjs canary --private ${privateRegistry.name} canary`);
	await run("pulumi", ["stack", "select", STACK], { cwd: checkout });
});

describe.each(runbooks)("docs/runbooks/$name", ({ text, blocks }) => {
	// All others leave the estate as it is declared.
	afterAll(async () => {
		if (text.includes("npm run dns-rollback")) await up();
	});

	it("has no block that is not run here", () => {
		expect(blocks.length).toBeGreaterThan(3);
		expect(text.match(/^```sh/gm)).toHaveLength(blocks.length);
	});

	it.each(blocks)("%s ...", async (_, place, script) => {
		const strict = `set -e\n${script}`;
		const { exitCode, output } =
			place === "vm" || place === "pve"
				? await run("ssh", ["-F", env("LAB_SSH_CONFIG"), place === "vm" ? "registry" : place, strict])
				: await run("bash", ["-c", strict], {
						cwd: checkout,
						env: { IMAGE: `${env("LAB_REGISTRY")}/canary:latest`, STACK, VM, SOURCE: source },
					});
		expect(exitCode, output).toBe(0);
	});
});

afterAll(async () => {
	await rm(source, { recursive: true });
	await leave();
});
