/**
 * npm run dns-rollback -- HOST [BACKUP]: puts a host's resolver back as it was before a change.
 * npm run dns-failover -- HOST: keeps the host from its primary server for some seconds, and reports what happened.
 */

import { Command } from "commander";
import { SCRIPTS } from "../components/dnsResolver/files.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { disconnect, exec } from "../host/ssh.ts";
import { hostWith, stackConfig } from "./stack.ts";

/** What was asked can't be done, or went wrong on the host; the message says what. */
class DnsError extends ExpectedError {}

const program = new Command()
	.name("npm run dns-... --")
	.option("--stack <name>", "the stack; by default, the one that is selected");
program
	.command("rollback")
	.description("put a host's resolver back as a backup has it")
	.argument("<host>", "as in the stack's config")
	.argument("[backup]", "a file in /root/dns-backups; by default, the newest")
	.action((host: string, backup = "") => {
		if (backup !== "" && !/^dns-config-backup-\w+\.tar\.gz$/.test(backup))
			throw new DnsError(`"${backup}" is not a backup's name`);
		return onHost(host, `rollback.sh ${backup}`);
	});
program
	.command("failover")
	.description("keep a host from its primary server for some seconds, and report what happened")
	.argument("<host>", "as in the stack's config")
	.action((host: string) => onHost(host, "failover.sh"));
try {
	await program.parseAsync();
} catch (error) {
	const expected = error instanceof ExpectedError;
	console.error(expected ? (error as Error).message : error);
	process.exitCode = 1;
} finally {
	await disconnect();
}

async function onHost(name: string, script: string): Promise<void> {
	const { connection } = hostWith(await stackConfig(program.opts<{ stack?: string }>().stack), "dns", name);
	const { code, stdout, stderr } = await exec(connection, `sh ${SCRIPTS}/${script}`);
	process.stdout.write(stdout);
	if (code !== 0) throw new DnsError(`${name}: ${stderr.trim()}`);
}
