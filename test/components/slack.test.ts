/** Messages to Slack: taken, tried again, shortened, refused. */
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { sendToSlack, shortened } from "../../components/slack.ts";
import { serve } from "../httpServer.ts";

/** A webhook that gives these answers in turn; resolves with its URL and when each message came. */
async function slack(...answers: [status: number, body: string, headers?: Record<string, string>][]) {
	const seen: { at: number; text: string }[] = [];
	const { url, close } = await serve(async (request, response) => {
		seen.push({ at: Date.now(), text: JSON.parse(await text(request)).text });
		const [status, said, headers] = answers.shift() ?? [200, "ok"];
		response.writeHead(status, headers).end(said);
	});
	return { url: `${url}/services/T0/B0/secret-of-the-hook`, seen, close };
}

it("a message that is taken is sent once", async () => {
	const { url, seen } = await slack();
	await sendToSlack(url, "hello");
	expect(seen.map(({ text }) => text)).toEqual(["hello"]);
});

it("too many messages: the next one waits as long as Slack asks", async () => {
	const { url, seen } = await slack([429, "rate_limited", { "retry-after": "2" }]);
	await sendToSlack(url, "hello");
	expect(seen).toHaveLength(2);
	expect((seen[1]?.at ?? 0) - (seen[0]?.at ?? 0)).toBeGreaterThan(1900);
});

it("a server that fails for a moment is tried again", async () => {
	const { url, seen } = await slack([502, "bad gateway"]);
	await sendToSlack(url, "hello");
	expect(seen).toHaveLength(2);
});

describe("a message that is not taken is an error without the webhook's URL", () => {
	it.each([
		["a refusal", [400, "invalid_blocks"], /^Slack did not take the message: 400 invalid_blocks$/],
		["a hook that was revoked", [404, "no_service"], /^Slack did not take the message: 404 no_service$/],
		["a login page", [200, "<html>sign in</html>"], /^Slack did not take the message: 200 <html>/],
	] as [string, [number, string], RegExp][])("%s", async (_, answer, message) => {
		const { url, seen } = await slack(answer);
		await expect(sendToSlack(url, "hello")).rejects.toThrow(message);
		expect(seen).toHaveLength(1);
	});

	it("nobody there", async () => {
		const { url, close } = await slack();
		await close();
		const error = await sendToSlack(url, "hello").catch((reason: Error) => reason);
		expect(String(error)).toContain("Slack was not reached");
		expect(String(error)).not.toContain("secret-of-the-hook");
	}, 20_000);
});

it("a long message keeps its first and its last line, and says how many it lost", () => {
	const lines = Array.from({ length: 400 }, (_, i) => `line ${i} ${"x".repeat(40)}`);
	const text = shortened(["first", ...lines, "y".repeat(9000), "last"].join("\n"));
	expect(text.length).toBeLessThanOrEqual(3500);
	expect(text).toMatch(/^first\nline 0 .*\n… and \d+ lines more\nlast$/s);
});
