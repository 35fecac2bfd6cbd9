/** The estate's state moves from one server to another, as the runbook has it. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STACK } from "../../lab/estate.ts";
import { begin, checkout, pulumi, succeeds } from "./lab.ts";
import { type StateServer, stateServers } from "./stateServers.ts";

describe("the estate's state", () => {
	let folder: string;
	const opened: StateServer[] = [];
	beforeAll(async () => {
		await begin();
		folder = await mkdtemp(join(tmpdir(), "state-move-"));
	});
	afterAll(async () => {
		for (const server of opened) await server[Symbol.asyncDispose]();
		await rm(folder, { recursive: true });
	});

	/** As the runbook has it: the stack is made with its file as it is, and filled with the copy. */
	async function restore(copy: string, env: Record<string, string>): Promise<void> {
		const machine = await mkdtemp(join(folder, "machine-"));
		for (const name of ["Pulumi.yaml", `Pulumi.${STACK}.yaml`]) await cp(join(checkout, name), join(machine, name));
		for (const args of [
			["stack", "init", STACK],
			["stack", "import", "--stack", STACK, "--file", copy],
		])
			await succeeds(pulumi(args, machine, env));
	}

	it("goes from a folder to a bucket and on to a database, and nothing is to be done after", async () => {
		let from: Record<string, string> = {};
		for (const { name, open } of stateServers) {
			const server = await open();
			opened.push(server);
			const copy = join(folder, "copy.json");
			await succeeds(pulumi(["stack", "export", "--stack", STACK, "--file", copy], checkout, from));
			await restore(copy, server.env);
			const check = ["preview", "--refresh", "--expect-no-changes", "--stack", STACK];
			const { exitCode, output } = await pulumi(check, checkout, server.env);
			expect(exitCode, `${name}: ${output}`).toBe(0);
			from = server.env;
		}
	});
});
