/**
 * The CronJob registry-integrity-probe, bundled into one file (program.ts). All it needs is in the environment:
 * REGISTRY_URL, REGISTRY_NAME, REGISTRY_USER, REGISTRY_PASSWORD, REGISTRY_CA (a file; without it, the public CAs),
 * CANARY, PUSHGATEWAY_URL, INSTANCE, CERTIFICATE (the fingerprint of the one that is declared). Exit status: 0 the
 * metrics tell what was found, be it good or bad; 1 something was not answered, or the Pushgateway does not have it.
 */
import { readFileSync } from "node:fs";
import { Registry } from "../../../oci/registry.ts";
import { BUDGET, PATIENCE } from "../names.ts";
import { shownCertificate } from "./certificate.ts";
import { push, succeeded } from "./metrics.ts";
import { probe } from "./probe.ts";

async function main(): Promise<void> {
	const ca = process.env["REGISTRY_CA"];
	const start = Date.now();
	const shown = await shownCertificate(variable("REGISTRY_URL"), start);
	const registry = new Registry({
		url: variable("REGISTRY_URL"),
		credentials: { user: variable("REGISTRY_USER"), password: variable("REGISTRY_PASSWORD") },
		...(ca && { ca: readFileSync(ca, "utf8") }),
	});
	const options = { name: variable("REGISTRY_NAME"), canary: variable("CANARY"), now: start, budget: BUDGET * 1000 };
	const late = () => registry.close("there was no answer when the run's time was over");
	setTimeout(late, PATIENCE * 1000).unref();
	const report = await probe(registry, options);
	registry.close();
	for (const { repository, references, subject, detail } of report.defects)
		console.log(`broken: ${repository} ${subject} ${detail} (needed by ${references.join(", ")})`);
	for (const line of report.inconclusive) console.log(`could not tell: ${line}`);
	if (report.inaccessible !== undefined) console.log(`not looked at: ${report.inaccessible}`);
	if (report.left.length > 0)
		console.log(
			`the time was too short for ${report.left.length} repositories (looked at: ${(report.coverage * 100).toFixed(0)}% of all); the next runs begin elsewhere`,
		);
	const { requests, bytes } = registry;
	const declared = process.env["CERTIFICATE"];
	if (shown && declared && shown.fingerprint !== declared)
		console.log(
			`the registry shows the certificate ${shown.fingerprint}, and not the one that is declared, ${declared}`,
		);
	const run = { report, start, end: Date.now(), requests, bytes, certificate: shown, declared };
	const replaced = await push(variable("PUSHGATEWAY_URL"), variable("INSTANCE"), run);
	if (replaced) console.log("the Pushgateway had metrics of an older probe, without an instance: they are removed");
	const { repositories, tags, indexes, defects } = report;
	const seconds = ((run.end - start) / 1000).toFixed(1);
	console.log(
		`${repositories} repositories, ${tags} tags, ${indexes} indexes: ${defects.length} broken; ${requests} requests, ${bytes} bytes, ${seconds} s`,
	);
	if (!succeeded(report)) process.exitCode = 1;
}

function variable(name: string): string {
	const value = process.env[name];
	if (!value) throw new Error(`${name} is not set`);
	return value;
}

main().catch((error: Error) => {
	console.error(error.message);
	process.exitCode = 1;
});
