/** Messages to a Slack channel, by an incoming webhook. */

import { Agent, interceptors, request } from "undici";
import { ExpectedError } from "../host/expectedError.ts";

/** The message was not taken; the text says why, without the webhook's URL, which is a secret. */
export class SlackError extends ExpectedError {}

/** In characters; Slack cuts a longer message off, or refuses it. */
const LIMIT = 3500;

/**
 * Sends a text in Slack's mrkdwn. One that is too long loses lines before the last one, and says how many. Retries where
 * Slack asks for it or fails. Throws a SlackError.
 */
export async function sendToSlack(webhook: string, text: string): Promise<void> {
	const agent = new Agent().compose(
		interceptors.retry({
			methods: ["POST"],
			statusCodes: [429, 500, 502, 503, 504],
			maxRetries: 4,
			minTimeout: 300,
			maxTimeout: 60_000,
			throwOnError: false,
		}),
	);
	try {
		const { statusCode, body } = await request(webhook, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ text: shortened(text) }),
			dispatcher: agent,
			signal: AbortSignal.timeout(180_000),
		});
		const said = (await body.text()).trim();
		if (statusCode !== 200 || said !== "ok")
			throw new SlackError(`Slack did not take the message: ${statusCode} ${said.slice(0, 200)}`);
	} catch (error) {
		if (error instanceof SlackError) throw error;
		const { message } = error as Error;
		throw new SlackError(`Slack was not reached: ${message.replaceAll(webhook, "(the webhook)")}`);
	} finally {
		await agent.close();
	}
}

/** What Slack would take for a command in a text: a link, a mention of everybody. */
export function escapeSlack(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** The text within the limit, with its first and last line. */
export function shortened(text: string): string {
	if (text.length <= LIMIT) return text;
	const lines = text.split("\n").map((line) => (line.length > 500 ? `${line.slice(0, 500)}…` : line));
	const last = lines.pop() ?? "";
	const kept: string[] = [];
	const note = (left: number) => `… and ${left} lines more`;
	let length = last.length + note(lines.length).length + 2;
	while (kept.length < lines.length && length + (lines[kept.length] as string).length + 1 <= LIMIT) {
		length += (lines[kept.length] as string).length + 1;
		kept.push(lines[kept.length] as string);
	}
	const left = lines.length - kept.length;
	return [...kept, ...(left > 0 ? [note(left)] : []), last].join("\n");
}
