/**
 * npm run dns-rollback -- HOST [BACKUP]: puts a host's resolver back as it was before a change.
 * npm run dns-failover -- HOST: keeps the host from its primary server for some seconds, and tells what happened.
 */
import { Command } from "commander";
import { failoverDns } from "../components/dnsResolver/failover.ts";
import { rollbackDns } from "../components/dnsResolver/files.ts";
import { ConfigError, dnsConnection } from "../config.ts";
import { ConnectionError, disconnect, exec } from "../host/ssh.ts";
import { stackConfig } from "./stack.ts";

/** What was asked can't be done, or went wrong on the host; the message says what. */
class DnsError extends Error {}

const program = new Command()
	.name("npm run dns-... --")
	.option("--stack <name>", "the stack; otherwise the one that is selected");
program
	.command("rollback")
	.description("put a host's resolver back as a backup has it")
	.argument("<host>", "as in the stack's config")
	.argument("[backup]", "a file in /root/dns-backups; otherwise the newest")
	.action((host: string, backup: string | undefined) => {
		if (backup !== undefined && !/^dns-config-backup-\w+\.tar\.gz$/.test(backup))
			throw new DnsError(`"${backup}" is not a backup's name`);
		return onHost(host, (config, found) => rollbackDns(config, found, backup));
	});
program
	.command("failover")
	.description("keep a host from its primary server for some seconds, and tell what happened")
	.argument("<host>", "as in the stack's config")
	.action((host: string) => onHost(host, failoverDns));
try {
	await program.parseAsync();
} catch (error) {
	const expected = [ConfigError, ConnectionError, DnsError].some((type) => error instanceof type);
	console.error(expected ? (error as Error).message : error);
	process.exitCode = 1;
} finally {
	await disconnect();
}

async function onHost(name: string, script: (...args: Parameters<typeof failoverDns>) => string): Promise<void> {
	const config = await stackConfig(program.opts<{ stack?: string }>().stack);
	const host = config.dns.hosts.find((one) => one.name === name);
	const known = config.dns.hosts.map((one) => one.name).join(", ");
	if (host === undefined) throw new DnsError(`there is no DNS host ${name} in the config; there are: ${known}`);
	if (host.deferred !== undefined) throw new DnsError(`${name} is deferred since ${host.deferred}`);
	const { code, stdout, stderr } = await exec(dnsConnection(config, host), script(config, host));
	process.stdout.write(stdout);
	if (code !== 0) throw new DnsError(`${name}: ${stderr.trim()}`);
}
