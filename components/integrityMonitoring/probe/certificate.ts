/** The certificate that the registry shows, whether a client would take it or not: when it ends, and which one it is. */
import { isIP } from "node:net";
import { connect } from "node:tls";

const DAY = 24 * 3600 * 1000;
/** In milliseconds. */
const DEADLINE = 10_000;

export interface ShownCertificate {
	/** Until it ends; below zero where it has. */
	daysLeft: number;
	/** Its SHA-256 fingerprint, as openssl prints it. */
	fingerprint: string;
}

/** `now` in milliseconds since 1970. Resolves with undefined where nobody shows one within ten seconds. */
export function shownCertificate(url: string, now: number): Promise<ShownCertificate | undefined> {
	const { hostname, port } = new URL(url);
	const host = hostname.replace(/^\[|\]$/g, ""); // Of an IPv6 address, which a URL has in brackets.
	return new Promise((resolve) => {
		// Not verified, so that an expired certificate is seen, too. Nothing is sent over this connection.
		const socket = connect({
			host,
			port: Number(port || 443),
			servername: isIP(host) ? "" : host,
			rejectUnauthorized: false,
		});
		const end = (found?: ShownCertificate) => {
			socket.destroy();
			resolve(found);
		};
		socket.setTimeout(DEADLINE, () => end());
		socket.once("error", () => end());
		socket.once("close", () => end());
		socket.once("secureConnect", () => {
			const { valid_to, fingerprint256 } = socket.getPeerCertificate();
			end({ daysLeft: (Date.parse(valid_to) - now) / DAY, fingerprint: fingerprint256 });
		});
	});
}
