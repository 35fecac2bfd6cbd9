/** Hosts that can't be reached: those that are expected to be away, and those that are not. */
import { connect } from "node:net";
import * as pulumi from "@pulumi/pulumi";

/** By this the engine knows that a program failed and has said why; any other status it calls an unhandled error. */
const EXIT_AFTER_MESSAGE = 32;

/** Reports a host that is only declared, and resolves with what was reported, a sentence. */
export async function reportDeferred(host: {
	name: string;
	address: string;
	port: number;
	since: string;
}): Promise<string> {
	const { name, address, since } = host;
	const deferred = `${name} (${address}) is deferred since ${since}`;
	const sentence = (await takesConnections(host))
		? `${deferred}; it can be reached now: take "deferred" away`
		: `${deferred}, and it still can't be reached`;
	await pulumi.log.warn(sentence);
	return sentence;
}

/** Ends the program with an error where a host could not be reached, once `all` else is done. Previews only warn. */
export function failForUnreachable(
	hosts: pulumi.Output<Record<string, string>>,
	all: pulumi.Input<unknown>[],
): pulumi.Output<void> {
	return pulumi.all([hosts, pulumi.all(all)]).apply(async ([reasons]) => {
		const names = Object.keys(reasons);
		if (names.length === 0 || pulumi.runtime.isDryRun()) return;
		await pulumi.log.error(
			`not reached, and so not updated: ${names.join(", ")}. Everything else is done. Run the same update again once they are up`,
		);
		process.exitCode = EXIT_AFTER_MESSAGE;
	});
}

/** Whether the port takes a connection within three seconds. */
function takesConnections({ address, port }: { address: string; port: number }): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect({ host: address, port, timeout: 3000 });
		const end = (answers: boolean) => {
			socket.destroy();
			resolve(answers);
		};
		socket.once("connect", () => end(true));
		socket.once("timeout", () => end(false));
		socket.once("error", () => end(false));
	});
}
