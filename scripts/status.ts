/**
 * npm run status: the estate on one screen, without changing or locking anything. Exit status 0 where all of it could be
 * looked at and is well, 1 where something is not.
 */

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { recall } from "../components/driftDetection/memory.ts";
import { METRIC, PROBE } from "../components/integrityMonitoring/names.ts";
import { pushed } from "../components/pushgateway.ts";
import type { Host } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { disconnect, exec } from "../host/ssh.ts";
import { stackConfig } from "./stack.ts";

/** What is printed of one thing. */
interface Line {
	/** For example a host's name. */
	subject: string;
	what: string;
	/** False where somebody has to do something. */
	well: boolean;
}

await new Command()
	.name("npm run status --")
	.description("The estate on one screen, without changing or locking anything.")
	.argument("[stack]", "by default, the one that is selected")
	.option("--json", "print it as JSON", false)
	.action(async (stack: string | undefined, { json }: { json: boolean }) => {
		const lines = await status(stack);
		const width = Math.max(...lines.map(({ subject }) => subject.length));
		if (json) console.log(JSON.stringify(lines, undefined, "  "));
		else
			for (const { subject, what, well } of lines)
				console.log(`${well ? "  " : "! "}${subject.padEnd(width)}  ${what}`);
		if (lines.some(({ well }) => !well)) process.exitCode = 1;
	})
	.parseAsync()
	.catch((error: unknown) => {
		console.error(error instanceof ExpectedError ? error.message : error);
		process.exitCode = 1;
	})
	.finally(disconnect);

async function status(stack: string | undefined): Promise<Line[]> {
	const { hosts, deferred, monitoring, driftDetection } = await stackConfig(stack);
	// As whoever runs this reaches it, which need not be how the cluster's pods do.
	const pushgateway = driftDetection?.pushgateway ?? monitoring?.pushgateway;
	const parts = await Promise.all([
		...hosts.map(ofHost),
		...(pushgateway === undefined ? [] : [ofProbe(pushgateway), ofDrift(pushgateway)]),
	]);
	const away = deferred.map(({ name, since }) => ({ subject: name, what: `deferred since ${since}`, well: true }));
	return [...parts.flat(), ...away];
}

/** One host that is down costs a line. */
async function ofHost({ name, connection, registry, dns }: Host): Promise<Line[]> {
	const script = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
	const line = (what: string, well = true): Line => ({ subject: name, what, well });
	const start = performance.now();
	try {
		await exec(connection, "true");
		const reached = line(`reached in ${Math.round(performance.now() - start)} ms`);
		const scripts = [script("host/sh/status.sh"), ...(registry ? [script("components/registryVm/sh/status.sh")] : [])];
		// Each in a shell of its own: one that ends early ends nothing else.
		const input = scripts.map((text) => `(\n${text}\n)\n`).join("");
		const { stdout, stderr, code } = await exec(connection, "sh -s", input);
		const found = stdout
			.toString()
			.split("\n")
			.filter(Boolean)
			.map((row) => row.split("\t"));
		const said = code === 0 ? [] : [line(`could not tell everything: ${stderr.trim()}`, false)];
		return [
			reached,
			...found.flatMap((row) => inWords(row, dns?.primary).map(({ what, well }) => line(what, well))),
			...said,
		];
	} catch (error) {
		return [line((error as Error).message, false)];
	}
}

function inWords([kind = "", ...fields]: string[], primary: string | undefined): { what: string; well: boolean }[] {
	const [first = "", second = "", third = "", fourth = ""] = fields;
	if (kind === "owed")
		return [{ what: `${first}: a restart of ${second} is owed; the next pulumi up does it`, well: false }];
	if (kind === "verified") return [{ what: `${first}: last verified at revision ${second}`, well: true }];
	if (kind === "container")
		return [
			{ what: `container ${first} (${second}): ${third}`, well: /^Up\b/.test(third) && !third.includes("unhealthy") },
		];
	if (kind === "port")
		return [
			{ what: `port ${first}: ${third}, answered by ${fourth}`, well: fourth === second && /^(200|401)$/.test(third) },
		];
	if (kind === "certificate") {
		const days = Math.floor((Date.parse(first) - Date.now()) / (24 * 3600 * 1000));
		return [{ what: `certificate: ${days} days left`, well: days >= 21 }];
	}
	if (kind === "disk") return [{ what: `disk: ${first} used`, well: Number.parseInt(first, 10) < 90 }];
	if (kind === "resolver")
		return [{ what: `name server ${first}${first === primary ? " (primary)" : ""}`, well: true }];
	return [];
}

async function ofProbe(pushgateway: string): Promise<Line[]> {
	const line = (what: string, well: boolean, subject = "probe"): Line => ({ subject, what, well });
	try {
		const found = await pushed(pushgateway, PROBE);
		const value = (name: string) => found[`${METRIC}_${name}`]?.[0]?.value;
		const [failures, last] = [value("failures"), value("last_run_timestamp")];
		if (last === undefined) return [line("never ran", false)];
		const minutes = Math.round((Date.now() / 1000 - last) / 60);
		return [line(`${failures ?? "?"} broken pieces, ${minutes} minutes ago`, failures === 0 && minutes < 60)];
	} catch (error) {
		return [line((error as Error).message, false)];
	}
}

async function ofDrift(pushgateway: string): Promise<Line[]> {
	try {
		const memory = Object.entries(await recall(pushgateway, undefined));
		if (memory.length === 0) return [{ subject: "drift", what: "never looked for", well: false }];
		return memory.map(([stack, { state, lastRun, resources }]) => {
			const hours = Math.round((Date.now() / 1000 - lastRun) / 3600);
			const names = Object.keys(resources).join(", ");
			const what = `${stack}: ${state}${names ? ` (${names})` : ""}, ${hours} hours ago`;
			return { subject: "drift", what, well: state === "clean" && hours < 26 };
		});
	} catch (error) {
		return [{ subject: "drift", what: (error as Error).message, well: false }];
	}
}
