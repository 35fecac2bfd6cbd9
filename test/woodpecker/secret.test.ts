/** The plugin's secret and cron, against servers that answer as Woodpecker does, or as what may stand in its way. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cron } from "../../woodpecker/cron.ts";
import { Secret } from "../../woodpecker/secret.ts";
import { serve } from "../httpServer.ts";

beforeEach(() => {
	process.env["WOODPECKER_TOKEN"] = "token-of-a-test";
});
afterEach(() => {
	delete process.env["WOODPECKER_TOKEN"];
});

const context = { urn: "", preview: false, log: () => {} };

async function listen(handle: (request: IncomingMessage, response: ServerResponse, body: string) => void) {
	return (await serve(async (request, response) => handle(request, response, await text(request)))).url;
}

/** A server that says the same to everything. */
const saying = (status: number, body: string, type = "text/plain") =>
	listen((_, response) => response.writeHead(status, { "content-type": type, "retry-after": "0" }).end(body));

const declared = (url: string) => ({
	server: url,
	repository: 1,
	name: "registry_ssh_key",
	value: "a-value-that-nobody-may-see",
	events: ["push", "manual"],
	images: [],
});

describe("a server that is not declared", () => {
	afterEach(() => {
		for (const name of ["WOODPECKER_SERVER", "CI_SYSTEM_URL"]) delete process.env[name];
	});

	it.each(["WOODPECKER_SERVER", "CI_SYSTEM_URL"])("is that of %s, and is in no state", async (variable) => {
		const { server: _, ...inputs } = declared("");
		const kept = JSON.stringify({ events: ["push", "manual"], images: [] });
		process.env[variable] = `${await saying(200, kept, "application/json")}/`;
		const { failures } = Secret.check(inputs);
		expect(failures).toEqual({});
		const { state } = await Secret.create(inputs, context);
		expect(state).not.toHaveProperty("server");
		expect(Secret.diff(state, inputs)).toEqual({});
	});

	it("and is not known, says what to set", async () => {
		const { server: _, ...inputs } = declared("");
		await expect(Secret.create(inputs, context)).rejects.toThrow(
			"set woodpecker.server in the stack's config, or export WOODPECKER_SERVER",
		);
	});
});

describe("what stands in the way is named, without the value and the token", () => {
	it.each([
		[
			"a token that is not accepted",
			401,
			"User not authorized",
			"text/plain",
			"does not accept the token in WOODPECKER_TOKEN",
		],
		["a user who may not", 403, "Forbidden", "text/plain", "has to be one of its administrators"],
		["a repository that is gone", 404, "", "text/plain", "there is no such repository"],
		["a proxy that knows no such path", 404, "<html>Not Found", "text/html", "there is no such repository"],
		["a login page", 200, "<html>Sign in</html>", "text/html", "a login page perhaps"],
		["half an answer", 200, '{"name":', "application/json", "but not in JSON"],
		["a server that fails", 500, "database is locked", "text/plain", "with 500: database is locked"],
		["too many requests, again and again", 429, "slow down", "text/plain", "with 429: slow down"],
	])(
		"%s",
		async (_, status, body, type, message) => {
			const url = await saying(status, body, type);
			const error = await Secret.create(declared(url), context).then(() => "no error", String);
			expect(error).toContain(message);
			expect(error).not.toMatch(/a-value-that|token-of-a-test/);
		},
		20_000,
	);

	it("an event that Woodpecker does not know is refused before it is asked", () => {
		const { failures } = Secret.check({ ...declared("http://localhost"), events: ["pushed"] });
		expect(failures["events.0"]).toMatch(/push/);
		expect(Secret.check({ ...declared("http://localhost"), events: [] }).failures).toHaveProperty("events");
	});

	it("nobody there, and no token", async () => {
		const { url, close } = await serve(() => {});
		await close();
		await expect(Secret.read?.("", declared(url), context)).rejects.toThrow("was not reached");
		delete process.env["WOODPECKER_TOKEN"];
		await expect(Secret.create(declared(url), context)).rejects.toThrow("WOODPECKER_TOKEN is not set");
	}, 20_000);

	it("a server that takes the secret and keeps other events", async () => {
		const kept = JSON.stringify({ name: "registry_ssh_key", events: ["push"], images: [] });
		const url = await saying(200, kept, "application/json");
		await expect(Secret.create(declared(url), context)).rejects.toThrow('gives it back with the events ["push"]');
	});
});

const nightly = { repository: 7, name: "nightly", schedule: "0 4 * * *", branch: "", enabled: true };

describe("a repository that Woodpecker does not have, or does not show to the token's user: 404, as for a secret", () => {
	const said: string[] = [];
	const telling = { ...context, log: (_: string, message: string) => void said.push(message) };
	const cron = (url: string) => ({ server: url, ...nightly });

	it.each([
		["a secret's making", (url: string) => Secret.create(declared(url), context)],
		["a secret's change", (url: string) => Secret.update("", declared(url), declared(url), context)],
		["a look at a secret", (url: string) => Secret.read?.("", declared(url), context)],
		["a cron's making", (url: string) => Cron.create(cron(url), context)],
		["a cron's change", (url: string) => Cron.update("", cron(url), cron(url), context)],
		["a look at a cron", (url: string) => Cron.read?.("", cron(url), context)],
	])("%s fails, and says which number it has", async (_, act) => {
		await expect(act(await saying(404, ""))).rejects.toThrow(/repos\/\d.*there is no such repository/);
	});

	it("what was in it can't be deleted, which nobody has to wait for: said", async () => {
		const url = await saying(404, "");
		await Secret.delete("", declared(url), telling);
		await Cron.delete("", cron(url), telling);
		expect(said).toEqual([
			expect.stringMatching(/registry_ssh_key was not deleted: .*no such repository/),
			expect.stringMatching(/nightly was not deleted: .*no such repository/),
		]);
	});
});

describe("a cron", () => {
	/** A server with that cron, which takes of a change what `patched` says, and of a new one what `posted` says. */
	async function having(cron: object, { patched = (sent: object) => sent, posted = (sent: object) => sent } = {}) {
		let crons: object[] = [{ id: 3, name: "nightly", ...cron }];
		const url = await listen((request, response, body) => {
			const sent = JSON.parse(body || "{}");
			if (request.method === "POST") crons = [{ id: 4, ...posted(sent) }];
			if (request.method === "PATCH") crons = [{ ...crons[0], ...patched(sent) }];
			if (request.method === "DELETE") crons = [];
			const said = request.method === "GET" ? (request.url?.includes("page=1&") ? crons : []) : crons[0];
			response.writeHead(said ? 200 : 204, { "content-type": "application/json" });
			response.end(said && JSON.stringify(said));
		});
		return { inputs: { server: url, ...nightly }, crons: () => crons };
	}

	it("whose branch is taken out of the config is made anew where Woodpecker keeps a branch that it is not given", async () => {
		const patched = ({ branch, ...sent }: { branch?: string }) => ({ ...sent, ...(branch && { branch }) });
		const { inputs, crons } = await having({ schedule: "0 4 * * *", branch: "old" }, { patched });
		await Cron.update("", { ...inputs, branch: "old" }, inputs, context);
		expect(crons()).toMatchObject([{ id: 4, branch: "", enabled: true }]);
	});

	it("that was disabled by hand is seen, and enabled again", async () => {
		const { inputs, crons } = await having({ schedule: "0 4 * * *", branch: "", enabled: false });
		const live = await Cron.read?.("", inputs, context);
		expect(Cron.diff(live?.state ?? {}, inputs)).toEqual({ enabled: "update" });
		await Cron.update("", live?.state ?? {}, inputs, context);
		expect(crons()).toMatchObject([{ id: 3, enabled: true }]);
	});

	it("of a server that knows none that is disabled, or in an older state, is the same", async () => {
		const { inputs } = await having({ schedule: "0 4 * * *", branch: "" });
		const live = await Cron.read?.("", inputs, context);
		expect(Cron.diff(live?.state ?? {}, inputs)).toEqual({});
		const { enabled: _, ...before } = inputs;
		expect(Cron.diff(before, inputs)).toEqual({});
	});

	it("that Woodpecker gives back otherwise than it was sent is an error", async () => {
		const posted = (sent: object) => ({ ...sent, enabled: false });
		const { inputs } = await having({ name: "another" }, { posted });
		await expect(Cron.create(inputs, context)).rejects.toThrow(
			'took the cron nightly, and gives it back as {"schedule":"0 4 * * *","branch":"","enabled":false}',
		);
	});
});

describe("a value that is not proved", () => {
	const unproved = "the host could not be reached";

	/** A server that has that secret, or none, and keeps what is sent to it. */
	async function keeping(has: boolean) {
		const sent: string[] = [];
		const url = await listen((request, response, body) => {
			if (request.method !== "GET") sent.push(`${request.method} ${body}`);
			const there = has || !request.url?.includes("/secrets/");
			const kept = JSON.stringify({ events: ["push"], images: [] });
			response.writeHead(there ? 200 : 404, { "content-type": "application/json" }).end(there ? kept : "");
		});
		return { sent, inputs: { ...declared(url), events: ["push"], unproved } };
	}

	it.each([true, false])("is not written, where there is one (%s), and is written once it is proved", async (has) => {
		const { sent, inputs } = await keeping(has);
		const { state } = await Secret.create(inputs, context);
		expect(sent).toEqual([]);
		expect(Secret.diff(state, inputs)).toEqual({});
		const { unproved: _, ...proved } = inputs;
		expect(Secret.diff(state, proved)).toEqual({ value: "update" });
	});

	it("stays where other events are written, and where there is none, none is made", async () => {
		for (const has of [true, false]) {
			const { sent, inputs } = await keeping(has);
			const state = { ...inputs, value: "the-one-before", events: ["manual"] };
			expect(Secret.diff(state, inputs)).toEqual({ events: "update" });
			expect(await Secret.update?.("", state, inputs, context)).toMatchObject({ value: "the-one-before" });
			expect(sent).toEqual(has ? [expect.stringMatching(/^PATCH /)] : []);
			expect(sent.join()).not.toContain("value");
		}
	});
});

describe("what is compared", () => {
	const state = declared("http://woodpecker");

	it("events in another order are the same", () => {
		expect(Secret.diff(state, { ...state, events: ["manual", "push"] })).toEqual({});
	});

	it("another value, other events, another repository", () => {
		expect(Secret.diff(state, { ...state, value: "another", events: ["push"] })).toEqual({
			value: "update",
			events: "update",
		});
		expect(Secret.diff(state, { ...state, repository: 2 })).toEqual({ repository: "update-replace" });
	});

	it("an older server's event and image are read, too", async () => {
		const old = JSON.stringify({ name: "registry_ssh_key", event: ["push"], image: [] });
		const url = await saying(200, old, "application/json");
		const live = await Secret.read?.("", declared(url), context);
		expect(live?.state).toMatchObject({ events: ["push"], images: [] });
	});

	it("a cron on the second page is found", async () => {
		const url = await listen((request, response) => {
			const page = new URL(request.url ?? "", "http://x").searchParams.get("page");
			const other = Array.from({ length: 50 }, (_, i) => ({ id: i, name: `other-${i}` }));
			const pages: Record<string, object[]> = {
				1: other,
				2: [{ id: 99, name: "drift-detection", schedule: "0 5 * * *" }],
			};
			response.setHeader("content-type", "application/json").end(JSON.stringify(pages[page ?? "1"] ?? []));
		});
		const wanted = { server: url, ...nightly, name: "drift-detection" };
		const live = await Cron.read?.("", wanted, context);
		expect(Cron.diff(live?.state ?? {}, wanted)).toEqual({ schedule: "update" });
	});
});

describe("the preview of a secret that is not in the state", () => {
	const preview = async (url: string) => {
		const said: string[] = [];
		const log = (severity: string, message: string) => said.push(`${severity}: ${message}`);
		await Secret.create(declared(url), { urn: "", preview: true, log });
		return said;
	};

	it("that exists says that it is taken over, and writes nothing", async () => {
		const methods: (string | undefined)[] = [];
		const url = await listen((request, response) => {
			methods.push(request.method);
			response.writeHead(200, { "content-type": "application/json" }).end("{}");
		});
		expect(await preview(url)).toEqual([
			expect.stringMatching(/^warning: the repository has a secret registry_ssh_key already: it is taken over/),
		]);
		expect(methods).toEqual(["GET"]);
	});

	it("that does not exist says nothing", async () => {
		const url = await listen((request, response) => {
			const there = request.url === "/api/repos/1";
			response.writeHead(there ? 200 : 404, { "content-type": "application/json" }).end(there ? "{}" : "");
		});
		expect(await preview(url)).toEqual([]);
	});

	it("of a server that does not tell says that", async () => {
		expect(await preview(await saying(403, "Forbidden"))).toEqual([
			expect.stringMatching(/^warning: whether the repository has a secret registry_ssh_key already can't be told: /),
		]);
	});
});
