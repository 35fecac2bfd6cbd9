/** npm run tell -- TEXT: sends a line to Slack, whose webhook is in SLACK_WEBHOOK. Exit status 1 where that fails. */
import { Command } from "commander";
import { escapeSlack, sendToSlack } from "../components/slack.ts";

await new Command()
	.name("npm run tell --")
	.description("Send a line to Slack, whose webhook is in SLACK_WEBHOOK.")
	.argument("<text>")
	.action(async (text: string) => {
		const webhook = process.env["SLACK_WEBHOOK"];
		if (!webhook) throw new Error("SLACK_WEBHOOK is not set");
		await sendToSlack(webhook, `:red_circle: ${escapeSlack(text)}`);
	})
	.parseAsync()
	.catch((error: Error) => {
		console.error(error.message);
		process.exitCode = 1;
	});
