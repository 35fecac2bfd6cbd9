/** What is known of a key's copies before any of them is written. */

import type { Connection } from "../../host/ssh.ts";
import { disconnect } from "../../host/ssh.ts";
import { type Entry, readEntry, VaultUnavailableError } from "../vault.ts";
import type { KeyConfig } from "./args.ts";
import { provesLogin } from "./rotation.ts";
import { withNewline } from "./sshKey.ts";

export interface Copies {
	/** What Vault has of the key now; undefined where it has no copy there. */
	held: Entry | undefined;
	/** Why Vault could not be asked, a sentence; undefined where it could. */
	unavailable: string | undefined;
	/** Why it is not known that the host lets the key in; undefined where it does, or where Vault has that key already. */
	unproved: string | undefined;
}

/**
 * Looks at each key's copy in Vault; a key that is not there yet logs in to its host first. A Vault that is unavailable
 * fails nobody here: its plugin fails the update, unless it was told to leave Vault out. Throws any other VaultError.
 */
export async function lookAtCopies(
	keys: { connection: Connection; key: KeyConfig }[],
	mount: string,
): Promise<Copies[]> {
	const looks = keys.map(async ({ connection, key }): Promise<Copies> => {
		const { held, unavailable } = await whatVaultHas(mount, key.vault);
		if (held?.data?.["private_key"] === withNewline(connection.privateKey))
			return { held, unavailable, unproved: undefined };
		const unproved = await provesLogin(connection, connection.privateKey).then(
			() => undefined,
			(error: Error) => error.message,
		);
		return { held, unavailable, unproved };
	});
	return Promise.all(looks).finally(disconnect);
}

async function whatVaultHas(mount: string, path: string | undefined): Promise<Omit<Copies, "unproved">> {
	try {
		const held = path === undefined ? undefined : await readEntry(mount, path);
		return { held, unavailable: undefined };
	} catch (error) {
		if (error instanceof VaultUnavailableError) return { held: undefined, unavailable: error.message };
		throw error;
	}
}
