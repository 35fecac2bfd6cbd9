/** Every command of the runbook, as it stands there, in a lab where all is well. */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { checkout, env, onVm, run, up } from "./lab.ts";

const text = readFileSync(`${checkout}/docs/runbooks/registry-vm.md`, "utf8");
const blocks = [...text.matchAll(/^```sh (vm|checkout)\n([\s\S]*?)^```$/gm)].map(
	([, place, script]) => [script?.split("\n", 1)[0], place, script] as [string, string, string],
);

beforeAll(async () => {
	await up();
	await onVm("rm -rf /opt/registry/data/private/docker"); // Other tests break what is stored there.
});

describe("docs/runbooks/registry-vm.md", () => {
	it("has no block that is not run here", () => {
		expect(blocks.length).toBeGreaterThan(5);
		expect(text.match(/^```sh/gm)).toHaveLength(blocks.length);
	});

	it.each(blocks)("%s ...", async (_, place, script) => {
		const strict = `set -e\n${script}`;
		const { exitCode, output } =
			place === "vm"
				? await run("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", strict])
				: await run("bash", ["-c", strict], { cwd: checkout });
		expect(exitCode, output).toBe(0);
	});
});
