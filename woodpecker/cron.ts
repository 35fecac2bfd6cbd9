/** `woodpecker:index:Cron`: a schedule of a repository. One of that name that is there already is taken over. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { Diff, Properties, ResourceType } from "../host/protocol.ts";
import { ask, deleting, list, WoodpeckerError } from "./api.ts";
import { checked } from "./checked.ts";

export const cronInputs = z.strictObject({
	server: z
		.url()
		.optional()
		.describe("The URL of Woodpecker. That of WOODPECKER_SERVER by default, else, in a pipeline, of CI_SYSTEM_URL."),
	repository: z.number().int().positive().describe("The repository's number, as its URL has it."),
	name: z.string().min(1).describe("What pipelines call it."),
	schedule: z.string().min(1).describe("When it runs, for example `0 4 * * *`."),
	branch: z.string().default("").describe("The branch that it runs. The default branch by default."),
	enabled: z.boolean().default(true).describe("Whether it runs at all. True by default."),
});

export type CronInputs = z.input<typeof cronInputs>;
type Declared = z.output<typeof cronInputs>;

export const Cron: ResourceType = {
	check: (inputs) => checked(cronInputs, inputs),

	diff(state, inputs) {
		const diff: Diff = {};
		for (const key of ["server", "repository", "name"]) if (state[key] !== inputs[key]) diff[key] = "update-replace";
		// Of a state that is older than this input.
		const was: Properties = { enabled: true, ...state };
		for (const key of ["schedule", "branch", "enabled"]) if (was[key] !== inputs[key]) diff[key] = "update";
		return diff;
	},

	async create(inputs, { preview }) {
		const declared = inputs as Declared;
		if (!preview) await write(declared);
		return { id: `${declared.repository}/${declared.name}`, state: inputs };
	},

	async read(_, state) {
		const found = await find(state as Declared);
		if (found === undefined) return undefined;
		const live: Properties = { ...state, ...shown(found) };
		return { state: live, inputs: live };
	},

	async update(_, __, inputs, { preview }) {
		if (!preview) await write(inputs as Declared);
		return inputs;
	},

	async delete(_, state, { log }) {
		const { server, repository, name } = state as Declared;
		await deleting(name, log, async () => {
			const found = await find(state as Declared);
			if (found !== undefined) await ask(server, "DELETE", `/repos/${repository}/cron/${found["id"]}`);
		});
	},
};

async function find({ server, repository, name }: Declared): Promise<Record<string, unknown> | undefined> {
	return (await list(server, `/repos/${repository}/cron`)).find((cron) => cron["name"] === name);
}

async function write(declared: Declared): Promise<void> {
	const { server, repository, name, schedule, branch, enabled } = declared;
	const wanted = { schedule, branch, enabled };
	const path = `/repos/${repository}/cron`;
	const found = await find(declared);
	if (found !== undefined) {
		const changed = shown(await ask(server, "PATCH", `${path}/${found["id"]}`, { name, ...wanted }));
		if (isDeepStrictEqual(changed, wanted)) return;
		// Older servers keep a branch where they are given none.
		await ask(server, "DELETE", `${path}/${found["id"]}`);
	}
	const made = shown(await ask(server, "POST", path, { name, ...wanted }));
	if (!isDeepStrictEqual(made, wanted))
		throw new WoodpeckerError(
			`Woodpecker${server === undefined ? "" : ` at ${server}`} took the cron ${name}, and gives it back as ${JSON.stringify(made)}`,
		);
}

/** What an answer says of a cron. Older servers know none that is disabled. */
function shown(cron: object | undefined) {
	const { schedule, branch = "", enabled = true } = (cron ?? {}) as Record<string, unknown>;
	return { schedule, branch, enabled };
}
