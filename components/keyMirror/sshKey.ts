/** A login key: its public half, its line in authorized_keys, the line in known_hosts that goes with it. */
import ssh2 from "ssh2";
import { fingerprint as fingerprintOf } from "../../host/ssh.ts";

/** `<type> <base64>` of a private key. Throws where it can't be read. */
export function publicKeyOf(privateKey: string): string {
	const parsed = ssh2.utils.parseKey(privateKey);
	if (parsed instanceof Error) throw new Error(`the private key can't be read: ${parsed.message}`);
	const key = Array.isArray(parsed) ? parsed[0] : parsed;
	return `${key.type} ${key.getPublicSSH().toString("base64")}`;
}

/** A new ed25519 private key in OpenSSH's form, which every client here reads, with its last newline. */
export function newPrivateKey(label: string): string {
	return withNewline(ssh2.utils.generateKeyPairSync("ed25519", { comment: label }).private);
}

/** ssh refuses a key without its last newline, and `pulumi config set` from a pipe drops it. */
export function withNewline(privateKey: string): string {
	return `${privateKey.trimEnd()}\n`;
}

/** The line that lets the key in. */
export function authorizedLine(privateKey: string, label: string, options: string | undefined): string {
	return [...(options === undefined ? [] : [options]), publicKeyOf(privateKey), label].join(" ");
}

/** The line by which ssh knows the host again. */
export function knownHostsEntry({
	host,
	port,
	hostKey,
}: {
	host: string;
	port?: number | undefined;
	hostKey: string;
}): string {
	return `${port === undefined || port === 22 ? host : `[${host}]:${port}`} ${hostKey}`;
}

/** As ssh-keygen -l shows it, of a key `<type> <base64>`. */
export function fingerprint(key: string): string {
	return fingerprintOf(Buffer.from(key.split(" ")[1] ?? "", "base64"));
}
