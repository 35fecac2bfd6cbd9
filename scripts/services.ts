/**
 * npm run services -- STACK: every host, port, schedule, secret and alert of the stack in one Markdown page, made of its
 * config, without reaching anything. docs/services.md is that of prod; a test tells when it is out of date.
 */
import { Command } from "commander";
import { JOB, SCHEDULE } from "../components/driftDetection/names.ts";
import { INTERVAL, PROBE } from "../components/integrityMonitoring/names.ts";
import { metricsPorts, registries } from "../components/registryVm/registries.ts";
import { type Config, secretKeys } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { allAlerts } from "./allAlerts.ts";
import { declaredConfig, type Rendered, rendered } from "./rendering.ts";

await new Command()
	.name("npm run services --")
	.description("Print a Markdown page with every host, port, schedule, secret and alert of the stack.")
	.argument("<stack>", "the stack, for example prod")
	.action(async (stack: string) => console.log(await services(stack, await declaredConfig(stack))))
	.parseAsync()
	.catch((error: unknown) => {
		console.error(error instanceof ExpectedError ? error.message : error);
		process.exitCode = 1;
	});

async function services(stack: string, config: Config): Promise<string> {
	const { monitoring } = config;
	return [
		`# What there is in the stack ${stack}`,
		`Made by \`npm run services -- ${stack} > docs/services.md\`; do not edit it by hand.`,
		section("Hosts", ["host", "address", "managed there"], hostRows(config)),
		section("Ports of the registry VMs", ["port", "protocol", "what answers", "where it comes from"], portRows(config)),
		section("What runs by itself", ["when", "what", "where"], scheduleRows(config, (await rendered(stack)).hosts)),
		section("Secrets", ["secret", "where it is kept"], secretRows(config)),
		monitoring ? section("Alerts", ["alert", "severity", "what to do"], alertRows(monitoring)) : "",
	]
		.filter(Boolean)
		.join("\n\n");
}

function section(title: string, columns: string[], rows: string[][]): string {
	const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
	return [`## ${title}`, "", line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

function hostRows({ hosts, deferred }: Config): string[][] {
	const managed = hosts.map(({ name, connection: { host, port, user }, registry, dns, key }) => {
		const roles = [
			registry && "container registries",
			dns && `resolver (${dns.primary}, then ${dns.fallback})`,
			key && `login key (${key.label})`,
		];
		return [name, `${user}@${host}:${port}`, roles.filter(Boolean).join(", ")];
	});
	const away = deferred.map(({ name, address, port, since }) => [
		name,
		`${address}:${port}`,
		`deferred since ${since}`,
	]);
	return [...managed, ...away];
}

function portRows({ hosts }: Config): string[][] {
	return hosts.flatMap(({ name, registry }) => {
		if (registry === undefined) return [];
		const all = registries(registry);
		const served = all.map((one) =>
			one.kind === "cache"
				? [`${name}:${one.port}`, "http", one.service, one.upstream]
				: [`${name}:${one.port}`, "https", `${one.service}, as ${one.hostname}`, "pushes, with user and password"],
		);
		const metrics = metricsPorts(all).map((port) => [`${name}:${port}`, "http", "metrics, for Prometheus", ""]);
		return [...served, ...metrics, [`${name}:${registry.uiPort}`, "http", "registry-ui", all[0]?.service ?? ""]];
	});
}

/** As cron has it: the lines of the VMs' own crontabs, and what runs elsewhere. */
function scheduleRows({ hosts, monitoring }: Config, files: Rendered["hosts"]): string[][] {
	const rows = hosts.flatMap(({ name }) =>
		Object.entries(files[name] ?? {})
			.filter(([path]) => path.startsWith("/etc/cron.d/"))
			.flatMap(([, { content }]) => content.split("\n"))
			.flatMap((line) => {
				const [, schedule = "", command = ""] = /^((?:\S+ ){5})root (.*?)(?: *>.*)?$/.exec(line) ?? [];
				return schedule ? [[`\`${schedule.trim()}\``, `\`${command.replaceAll("|", "\\|")}\``, name]] : [];
			}),
	);
	if (monitoring === undefined) return rows;
	return [
		...rows,
		[`\`*/${INTERVAL / 60} * * * *\``, PROBE, `CronJob in the namespace ${monitoring.namespace}`],
		[`\`${SCHEDULE}\``, JOB, "CI"],
	];
}

function secretRows({ hosts, tls, vault }: Config): string[][] {
	const inStack = secretKeys().filter((key) => key !== "tlsPrivateKey" || "tlsCertificate" in tls);
	const others = vault.registryPassword.map(({ path, key }) => `Vault ${vault.mount}/${path} (${key})`);
	const rows = inStack.map((key) => {
		const copies = key === "registryPassword" ? ["htpasswd on the VM", `Secret ${PROBE}`, ...others] : [];
		return [`\`${key}\``, ["the stack's file, encrypted", ...copies].join("; ")];
	});
	const source = "vault" in tls && tls.vault ? [[`certificate`, `Vault ${vault.mount}/${tls.vault.path}`]] : [];
	const keys = hosts.flatMap(({ name, key }) => {
		if (key === undefined) return [];
		const copies = [
			"its line in /root/.ssh/authorized_keys",
			key.vault && `Vault ${vault.mount}/${key.vault}`,
			key.secret && `Woodpecker ${key.secret.name} (${key.secret.events.join(", ")})`,
		];
		return [[`login key of ${name}`, ["`sshPrivateKeys`", ...copies.filter(Boolean)].join("; ")]];
	});
	return [...rows, ...source, ...keys];
}

function alertRows(monitoring: { namespace: string; runbooks: string }): string[][] {
	return allAlerts(monitoring).flatMap(({ rules }) =>
		rules.map(({ alert, labels: { severity }, annotations: { runbook_url: url } }) => {
			const relative = url.replace(/^docs\//, "");
			return [alert, severity, `[${relative.split("#")[1]}](${relative})`];
		}),
	);
}
