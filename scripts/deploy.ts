/**
 * npm run deploy -- STACK: pulumi up of the newest commit, by one run at a time, with a line in Slack (SLACK_WEBHOOK) of
 * how it ended. Exit status 0 it is deployed, or a newer commit's run will do it; 1 it is not.
 */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConcurrentUpdateError, type EngineEvent } from "@pulumi/pulumi/automation/index.js";
import { Command } from "commander";
import { execa } from "execa";
import { compareCheckout } from "../components/driftDetection/checkout.ts";
import { mask, openStack, whatWentWrong } from "../components/driftDetection/detect.ts";
import { Gatherer } from "../components/driftDetection/report.ts";
import { registries } from "../components/registryVm/registries.ts";
import { escapeSlack, sendToSlack } from "../components/slack.ts";
import { type Config, ConfigError } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { inWords, type Port, watchPorts } from "./portSilence.ts";
import { seconds } from "./seconds.ts";
import { giveSigns, type Place, Watch } from "./signsOfLife.ts";
import { stackConfig, stackSecrets } from "./stack.ts";
import { lockOwner } from "./stackLock.ts";

const folder = join(import.meta.dirname, "..");

/** How long another run's lock is waited for, in milliseconds: longer than any update takes. */
const PATIENCE = 30 * 60_000;

const program = new Command()
	.name("npm run deploy --")
	.description("pulumi up of the newest commit, by one run at a time, with a line in Slack of how it ended.")
	.argument("<stack>", "the stack, for example prod")
	.option(
		"--silence <seconds>",
		"a run elsewhere that gives no sign of life for so long is dead, and its lock is taken away",
		seconds,
		180,
	)
	.action(async (stack: string, { silence }: { silence: number }) => {
		process.exitCode = await deploy({ folder, stack, silence: silence * 1000 });
	});
await program.parseAsync().catch((error: unknown) => {
	console.error(error instanceof ExpectedError ? error.message : error);
	process.exitCode = 1;
});

async function deploy(place: Place): Promise<number> {
	const { stack } = place;
	const problem = await attempt(place).catch((error: unknown) => {
		if (error instanceof ConfigError) return { text: error.message, failed: true };
		throw error;
	});
	console.log(problem.text);
	const webhook = process.env["SLACK_WEBHOOK"];
	const icon = problem.failed ? ":red_circle:" : ":rocket:";
	if (!webhook) console.error("Slack is not told: SLACK_WEBHOOK is not set");
	else if (problem.text !== "")
		try {
			await sendToSlack(webhook, `${icon} *${stack}*: ${escapeSlack(problem.text)}`);
		} catch (error) {
			console.error((error as Error).message);
			return 1;
		}
	return problem.failed ? 1 : 0;
}

interface Outcome {
	/** For people. */
	text: string;
	failed: boolean;
}

async function attempt(place: Place): Promise<Outcome> {
	const { stack } = place;
	const { driftDetection, hosts } = await stackConfig(stack);
	const ports = portsOf(hosts);
	const hide = mask(await stackSecrets(stack));
	const until = Date.now() + PATIENCE;
	const watch = new Watch(place);
	for (;;) {
		// Asked again after each wait: a newer commit's run may have come.
		const given = driftDetection?.branch && (await givesWay(driftDetection.branch));
		if (given) return given;
		const gatherer = new Gatherer();
		const done: string[] = [];
		let signs: AsyncDisposable | undefined;
		const onEvent = (event: EngineEvent) => {
			// The first event comes when the lock is taken.
			signs ??= giveSigns(place);
			gatherer.take(event);
			const { message = "", severity } = event.diagnosticEvent ?? {};
			// Pulumi's debug messages repeat what earlier runs printed.
			const said = severity?.startsWith("info") && message.match(/^(recreated|restarted|removed|put back) .*/gm);
			if (said) done.push(...said);
		};
		const stop = await watchPorts(ports);
		try {
			const opened = await openStack({ folder, stack });
			const { summary } = await opened.up({
				color: "never",
				onEvent,
				onOutput: (text) => process.stderr.write(hide(text)),
			});
			const silence = inWords(await stop(), ports);
			const changes = Object.entries(summary.resourceChanges ?? {}).filter(([action]) => action !== "same");
			const counts = changes.map(([action, count]) => `${count} ${action}`).join(", ") || "nothing changed";
			const what = [...new Set(done)].join(", ") || "nobody restarted";
			return { text: hide(`deployed ${await commit()}: ${counts}; ${what}; ${silence}`), failed: false };
		} catch (error) {
			const silences = await stop();
			if (error instanceof ConcurrentUpdateError && Date.now() < until) {
				await waitFor(error, stack, watch);
				continue;
			}
			const reasons = gatherer.problems(whatWentWrong(error)).join("\n");
			const what = done.length > 0 ? `\n${[...new Set(done)].join(", ")}; ${inWords(silences, ports)}` : "";
			return { text: hide(`not deployed: ${await commit()}: ${reasons}${what}`), failed: true };
		} finally {
			await signs?.[Symbol.asyncDispose]();
		}
	}
}

/** Every port of the registry VMs, by its number, and by its host where there are several of them. */
function portsOf(hosts: Config["hosts"]): Port[] {
	const vms = hosts.flatMap(({ name, connection, registry }) => (registry ? [{ name, connection, registry }] : []));
	return vms.flatMap(({ name, connection: { host }, registry }) =>
		registries(registry).map(({ kind, port }) => ({
			name: vms.length > 1 ? `${name}:${port}` : String(port),
			url: `${kind === "private" ? "https" : "http"}://${host}:${port}`,
		})),
	);
}

/** What to say where this commit is not the one to deploy. */
async function givesWay(branch: string): Promise<Outcome | undefined> {
	const checkout = await compareCheckout(folder, branch);
	if (checkout.state === "current") return undefined;
	if (checkout.state === "other") return { text: `not deployed: ${checkout.reason}`, failed: true };
	const { head, newest } = checkout;
	return { text: `${head.slice(0, 8)} gives way to ${newest.slice(0, 8)}, which ${branch} has now`, failed: false };
}

/** Waits a while for the run that holds the stack, or takes its lock away where it has died. */
async function waitFor({ message }: Error, stack: string, watch: Watch): Promise<void> {
	const owner = lockOwner(message);
	if (owner && (await watch.isDead(owner))) {
		console.error(`the run that held ${stack} (${owner.said}) has died; its lock is taken away`);
		await execa("pulumi", ["cancel", "--yes", "--stack", stack], { cwd: folder, stdio: "ignore" });
		return;
	}
	console.error(`${stack} is held by ${owner?.said ?? "another run"}; waiting`);
	await sleep(5000);
}

async function commit(): Promise<string> {
	const { stdout, failed } = await execa("git", ["log", "-1", "--format=%h %s"], { cwd: folder, reject: false });
	return failed ? "the checkout" : stdout;
}
