import { connect } from "node:net";

/** Whether somebody listens on that TCP port of the loopback. */
export function listens(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1", () => resolve(!socket.destroy().connecting));
		socket.once("error", () => resolve(false));
	});
}
