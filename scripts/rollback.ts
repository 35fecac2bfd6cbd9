/**
 * npm run rollback -- list | to-before GENERATION: shows what the last updates replaced on the registry VM,
 * and puts the files back as they were before one of them, with all that has to be restarted.
 */

import { dirname } from "node:path";
import { Command } from "commander";
import { BOUNCE, bounceScript, FILE_SET } from "../components/registryVm/bounce.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { type Connection, disconnect, exec } from "../host/ssh.ts";
import { hostWith, stackConfig } from "./stack.ts";

const FILESET = "/var/lib/pulumi-host/fileset.sh";

/** The command on the VM failed; the message is what it said. */
class RollbackError extends ExpectedError {}

const program = new Command()
	.name("npm run rollback --")
	.description("Go back to an earlier generation of the registry VM's files.")
	.option("--stack <name>", "the stack; by default, the one that is selected")
	.option("--host <name>", "the registry VM; by default, the only one");
program.command("list").description("list the generations, newest first: name, time, files it replaced").action(list);
program
	.command("to-before <generation>")
	.description("put the files back as they were before that generation, and restart what has to be")
	.action(toBefore);
try {
	await program.parseAsync();
} catch (error) {
	if (!(error instanceof ExpectedError)) throw error;
	console.error(error.message);
	process.exitCode = 1;
} finally {
	await disconnect();
}

async function list(): Promise<void> {
	const lines = (await onHost(await connection(), `sh ${FILESET} generations ${FILE_SET}`)).split("\n").filter(Boolean);
	for (const line of lines) {
		const [name, files] = line.split("\t") as [string, string];
		const time = name.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\..*/, "$1-$2-$3 $4:$5:$6 UTC");
		console.log(`${name}  ${time}  ${files.trim()}`);
	}
	if (lines.length === 0) console.log("no update has replaced anything yet");
}

async function toBefore(generation: string): Promise<void> {
	if (!/^[\w.]+$/.test(generation))
		throw new RollbackError(`"${generation}" is not a generation's name; see: npm run rollback -- list`);
	const host = await connection();
	const restored = await onHost(host, `sh ${FILESET} undo ${FILE_SET} ${generation}`);
	console.log(`put back: ${restored.trim().replaceAll("\n", " ")}`);
	// Before the first update there was no bounce.sh; this one then runs from standard input.
	const verified = `sh ${BOUNCE} recover && echo every port answers as it should`;
	const asFound = `cd ${dirname(BOUNCE)} && sh -s as-found`;
	const recover = `systemctl daemon-reload; if [ -f ${BOUNCE} ]; then ${verified}; else ${asFound}; fi`;
	process.stdout.write(await onHost(host, recover, bounceScript));
	console.log("The next pulumi up brings the declared files again: revert them first.");
}

async function onHost(host: Connection, command: string, input = ""): Promise<string> {
	const { code, stdout, stderr } = await exec(host, command, input);
	if (code !== 0) throw new RollbackError(`${host.host}: ${stderr.trim()}`);
	return stdout.toString();
}

async function connection(): Promise<Connection> {
	const { stack, host } = program.opts<{ stack?: string; host?: string }>();
	return hostWith(await stackConfig(stack), "registry", host).connection;
}
