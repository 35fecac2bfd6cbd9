/** `woodpecker:index:Secret`: a secret of a repository. Its value is never given back; what else it has is compared. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { Context, Diff, Properties, ResourceType } from "../host/protocol.ts";
import { ask, deleting, find, WoodpeckerError } from "./api.ts";
import { checked } from "./checked.ts";

export const events = [
	...(["push", "pull_request", "pull_request_closed", "pull_request_metadata"] as const),
	...(["tag", "release", "deployment", "cron", "manual"] as const),
];

export const secretInputs = z.strictObject({
	server: z
		.url()
		.optional()
		.describe("The URL of Woodpecker. That of WOODPECKER_SERVER by default, else, in a pipeline, of CI_SYSTEM_URL."),
	repository: z.number().int().positive().describe("The repository's number, as its URL has it."),
	name: z
		.string()
		.regex(/^[A-Za-z0-9_.-]+$/, "is not a secret's name")
		.describe("What pipelines call it."),
	value: z.string().min(1).meta({ secret: true }).describe("What pipelines get."),
	events: z
		.array(z.enum(events))
		.min(1)
		.describe("In which events pipelines get it; in all others a pipeline that names it fails."),
	unproved: z
		.string()
		.optional()
		.describe(
			"Why the value may be a wrong one, a sentence. As long as it is given, a value that Woodpecker has stays, and none is made.",
		),
	images: z.array(z.string().min(1)).default([]).describe("The only images that get it, plugins. All by default."),
});

export type SecretInputs = z.input<typeof secretInputs>;
type Declared = z.output<typeof secretInputs>;

/** What Woodpecker shows beside the secret. */
const NOTE = "managed by Pulumi";

export const Secret: ResourceType = {
	check: (inputs) => checked(secretInputs, inputs),

	diff(state, inputs) {
		const diff: Diff = {};
		for (const key of ["server", "repository", "name"]) if (state[key] !== inputs[key]) diff[key] = "update-replace";
		if (inputs["unproved"] === undefined && state["value"] !== inputs["value"]) diff["value"] = "update";
		for (const key of ["events", "images"])
			if (!isDeepStrictEqual(sorted(state[key]), sorted(inputs[key]))) diff[key] = "update";
		return diff;
	},

	async create(inputs, { preview, log }) {
		const declared = inputs as Declared;
		const id = `${declared.repository}/${declared.name}`;
		// Without a value, the next run that has a proved one sees a difference.
		if (declared.unproved !== undefined) return { id, state: { ...inputs, value: "" } };
		if (preview) await announceTakeOver(declared, log);
		else await write(declared);
		return { id, state: inputs };
	},

	async read(_, state) {
		const { server, repository, name } = state as Declared;
		const found = await find(server, repository, `secrets/${name}`);
		if (found === undefined) return undefined;
		const { events: on, images, image, event } = found;
		// Older servers had other names for them.
		const live: Properties = { ...state, events: on ?? event ?? [], images: images ?? image ?? [] };
		return { state: live, inputs: live };
	},

	async update(_, state, inputs, { preview }) {
		const declared = inputs as Declared;
		const isProved = declared.unproved === undefined;
		if (!preview && (isProved || (await exists(declared))))
			await write(isProved ? declared : { ...declared, value: undefined });
		return isProved ? inputs : { ...inputs, value: state["value"] };
	},

	async delete(_, state, { log }) {
		const { server, repository, name } = state as Declared;
		await deleting(name, log, async () => {
			if (await exists(state as Declared)) await ask(server, "DELETE", `/repos/${repository}/secrets/${name}`);
		});
	},
};

/** Makes it or changes it, and looks whether it is then as declared. Without a value, it keeps the one that it has. */
async function write({
	server,
	repository,
	name,
	value,
	events,
	images,
}: Omit<Declared, "value"> & { value: string | undefined }): Promise<void> {
	const path = `/repos/${repository}/secrets`;
	const body = { name, value, events, images, note: NOTE };
	await ((await exists({ server, repository, name }))
		? ask(server, "PATCH", `${path}/${name}`, body)
		: ask(server, "POST", path, body));
	const kept = await find(server, repository, `secrets/${name}`);
	if (
		!isDeepStrictEqual(sorted(kept?.["events"]), sorted(events)) ||
		!isDeepStrictEqual(sorted(kept?.["images"]), sorted(images))
	)
		throw new WoodpeckerError(
			`Woodpecker${server === undefined ? "" : ` at ${server}`} took the secret ${name}, and gives it back with the events ${JSON.stringify(kept?.["events"])} and images ${JSON.stringify(kept?.["images"])}; is it older than 1.0?`,
		);
}

async function announceTakeOver(declared: Declared, log: Context["log"]): Promise<void> {
	const { name } = declared;
	try {
		if (!(await exists(declared))) return;
		log(
			"warning",
			`the repository has a secret ${name} already: it is taken over, and pipelines that use it go on with the new value. One that writes to the host by itself has to go, or the two undo each other's work`,
		);
	} catch (error) {
		log("warning", `whether the repository has a secret ${name} already can't be told: ${(error as Error).message}`);
	}
}

async function exists({
	server,
	repository,
	name,
}: Pick<Declared, "server" | "repository" | "name">): Promise<boolean> {
	return (await find(server, repository, `secrets/${name}`)) !== undefined;
}

function sorted(value: unknown): unknown {
	return Array.isArray(value) ? [...value].sort() : (value ?? []);
}
