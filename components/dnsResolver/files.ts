/** All that one host's resolver consists of: its files, the scripts that commit a change or take it back, and the proof. */
import type { Check, Condition, Hook, Precondition } from "../../host/fileSetSchema.ts";
import { managedFile, type RenderedFiles } from "../../host/managedFile.ts";
import { envFile, shellScript, table } from "../../host/shell.ts";
import type { DnsNames, DnsRole, ResolvingContainer } from "./args.ts";
import { resolvConf } from "./resolvConf.ts";
import { resolved } from "./resolved.ts";
import { FAILBACK_UNIT, type Resolver } from "./resolver.ts";

/** Names the records of a host's FileSet. */
export const FILE_SET = "dns";

/** Where the scripts are on the host. */
export const SCRIPTS = "/usr/local/lib/dns-resolver";

/** How many copies of earlier settings are kept in /root/dns-backups. */
const KEPT_BACKUPS = 10;

export interface ResolverSet {
	files: RenderedFiles;
	preconditions: Precondition[];
	checks: Check[];
	beforeActivation: Hook[];
	conditions: Record<string, Condition>;
}

export function resolverSet(role: DnsRole, names: DnsNames, containers: ResolvingContainer[]): ResolverSet {
	const resolver = role.netplan ? resolved(role, role.netplan) : resolvConf(role);
	const { files, preconditions, checks, conditions } = resolver;
	return {
		files: { ...files, ...scripts(role, names, containers, resolver) },
		preconditions,
		checks,
		beforeActivation: [
			{
				name: "the host can't be prepared for the change to be taken back",
				script: shellScript(import.meta.url, "arm.sh"),
				args: [SCRIPTS],
				files: Object.keys(files),
			},
		],
		conditions,
	};
}

function scripts(
	{ primary, fallback, revertSeconds }: DnsRole,
	{ internal, external }: DnsNames,
	containers: ResolvingContainer[],
	{ kind, files, link, nameServers }: Resolver,
): RenderedFiles {
	const nothing = "nothing is restarted";
	const names = ["resolver.sh", "activate.sh", "ask-by.sh", "commit.sh", "failover.sh", "name-servers.sh"];
	const all = [...names, "refresh-containers.sh", "revert.sh", "rollback.sh"];
	const env = {
		FILE_SET,
		KIND: kind,
		PRIMARY: primary,
		FALLBACK: fallback,
		INTERNAL: internal.join("\n"),
		EXTERNAL: external,
		LINK: link,
		NAME_SERVERS: nameServers,
		FAILBACK_UNIT,
		REVERT_SECONDS: revertSeconds,
		BACKUPS: "/root/dns-backups",
		KEPT_BACKUPS,
		FILES: table(Object.entries(files).map(([path, { yamlPath }]) => [yamlPath ? "part" : "whole", path])),
		CONTAINERS: table(containers.map(({ name, port, upstream }) => [name, port, upstream])),
	};
	return {
		...Object.fromEntries(
			all.map((name) => [`${SCRIPTS}/${name}`, managedFile(shellScript(import.meta.url, name), nothing)]),
		),
		[`${SCRIPTS}/resolver.env`]: managedFile(envFile(env), nothing),
	};
}
