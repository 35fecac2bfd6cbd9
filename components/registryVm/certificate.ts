/** Whether the private registry's certificate and its key will do, before they reach the VM. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { TlsPair } from "./tlsPair.ts";

const DAY = 24 * 3600 * 1000;
/** When it ends sooner than that, people are warned, in days. */
const SOON = 21;

/** What is wrong with a certificate: `refused` where no client would take it, `warning` where soon none will. */
export interface CertificateProblem {
	refused?: string;
	warning?: string;
}

/** Of the first certificate of the pair, for that name; `now` in milliseconds since 1970. */
export function certificateProblem(
	{ tlsCertificate, tlsPrivateKey }: TlsPair,
	hostname: string,
	now: number,
): CertificateProblem {
	let certificate: X509Certificate;
	try {
		certificate = new X509Certificate(tlsCertificate);
	} catch (error) {
		return { refused: `tlsCertificate can't be read: ${(error as Error).message}` };
	}
	const { validFromDate, validToDate, subjectAltName } = certificate;
	const day = (date: Date) => date.toISOString().slice(0, 10);
	if (certificate.checkHost(hostname) === undefined)
		return {
			refused: `tlsCertificate is not for ${hostname}: its names are ${subjectAltName ?? "none"}; set the one for that name`,
		};
	if (validToDate.getTime() <= now)
		return { refused: `tlsCertificate for ${hostname} ended on ${day(validToDate)}; renew it, and set the new one` };
	if (validFromDate.getTime() > now)
		return {
			refused: `tlsCertificate for ${hostname} only begins on ${day(validFromDate)}; or is this machine's clock wrong?`,
		};
	try {
		if (!certificate.checkPrivateKey(createPrivateKey(tlsPrivateKey)))
			return { refused: "tlsPrivateKey is not the key of tlsCertificate: set the two that were made together" };
	} catch (error) {
		return { refused: `tlsPrivateKey can't be read: ${(error as Error).message}; it has to be PEM, unencrypted` };
	}
	const left = Math.floor((validToDate.getTime() - now) / DAY);
	if (left >= SOON) return {};
	return {
		warning: `tlsCertificate for ${hostname} ends in ${left} days, on ${day(validToDate)}; renew it, and set the new one`,
	};
}

/** The SHA-256 fingerprint of the first certificate of a PEM text, as openssl prints it; undefined where it is none. */
export function certificateFingerprint(pem: string): string | undefined {
	try {
		return new X509Certificate(pem).fingerprint256;
	} catch {
		return undefined;
	}
}
