/** What is known of a key's copies before any of them is written. */

import type { Connection } from "../../host/ssh.ts";
import { disconnect } from "../../host/ssh.ts";
import { type Entry, readEntry } from "../vault.ts";
import type { KeyConfig } from "./args.ts";
import { provesLogin } from "./rotation.ts";
import { withNewline } from "./sshKey.ts";

export interface Copies {
	/** What Vault has of the key now; undefined where it has no copy there. */
	held: Entry | undefined;
	/** Why it is not known that the host lets the key in; undefined where it does, or where Vault has that key already. */
	unproved: string | undefined;
}

/** Looks at each key's copy in Vault; a key that is not there yet logs in to its host first. Throws a VaultError. */
export async function lookAtCopies(
	keys: { connection: Connection; key: KeyConfig }[],
	mount: string,
): Promise<Copies[]> {
	const looks = keys.map(async ({ connection, key }): Promise<Copies> => {
		const held = key.vault === undefined ? undefined : await readEntry(mount, key.vault);
		if (held?.data?.["private_key"] === withNewline(connection.privateKey)) return { held, unproved: undefined };
		const unproved = await provesLogin(connection, connection.privateKey).then(
			() => undefined,
			(error: Error) => error.message,
		);
		return { held, unproved };
	});
	return Promise.all(looks).finally(disconnect);
}
