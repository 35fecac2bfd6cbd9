import { connect } from "node:net";
import { ExpectedError } from "./expectedError.ts";

/** The environment names an SSH agent that does not answer; the message says so, and what to do. */
export class AgentError extends ExpectedError {}

/**
 * Throws an AgentError where SSH_AUTH_SOCK names an agent that does not answer: Pulumi's command plugin then gives up,
 * although it has a key, when files have been replaced already.
 */
export function refuseDeadAgent(): Promise<void> {
	const path = process.env["SSH_AUTH_SOCK"];
	if (!path) return Promise.resolve();
	return new Promise((resolve, reject) => {
		const socket = connect(path);
		socket.once("connect", () => {
			socket.destroy();
			resolve();
		});
		socket.once("error", ({ message }) =>
			reject(
				new AgentError(
					`SSH_AUTH_SOCK names an SSH agent that does not answer (${message}), and Pulumi's command plugin fails on that, whatever key it has; nothing was changed. Run "unset SSH_AUTH_SOCK", then the same command again`,
				),
			),
		);
	});
}
