/** What is in Vault of a host's login key, and who may do what with it. */
import type { Connection } from "../../host/ssh.ts";
import type { KeyConfig } from "./args.ts";
import { knownHostsEntry, publicKeyOf, withNewline } from "./sshKey.ts";

/** The entry's fields, in the order in which Vault's plugin keeps them. */
export function entryOf(connection: Connection, { label }: KeyConfig): Record<string, string> {
	return {
		known_hosts_entry: knownHostsEntry(connection),
		private_key: withNewline(connection.privateKey),
		public_key: `${publicKeyOf(connection.privateKey)} ${label}`,
	};
}

/** By what their names end with, after `name`: the policy of who keeps the copy up to date, and of who may use it. */
export function policiesOf(mount: string, path: string, name: string): Record<"writer" | "reader", string> {
	const rule = (where: string, ...capabilities: string[]) =>
		`path "${where}" {\n  capabilities = [${capabilities.map((one) => `"${one}"`).join(", ")}]\n}\n`;
	return {
		writer: [
			rule(`${mount}/data/${path}`, "create", "read", "update"),
			rule(`${mount}/metadata/${path}`, "read"),
			// An update looks at what it manages, these policies among it.
			...["writer", "reader"].map((suffix) => rule(`sys/policies/acl/${name}-${suffix}`, "read")),
		].join(""),
		reader: rule(`${mount}/data/${path}`, "read"),
	};
}
