import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import { FileSet } from "../../host/resources.ts";
import type { Connection } from "../../host/ssh.ts";
import { Secret } from "../../woodpecker/resources.ts";
import type { KeyConfig, VaultConfig, WoodpeckerConfig } from "./args.ts";
import type { Copies } from "./copies.ts";
import { entryOf, policiesOf } from "./entry.ts";
import { authorizedLine, withNewline } from "./sshKey.ts";

export interface KeyMirrorArgs {
	/** How the host is reached; its private key is the one that is let in, and copied. Secret. */
	connection: Connection;
	/** Where the key is let in, and where its copies are. */
	key: KeyConfig;
	/** Needed where the key has a copy in Vault. */
	vault: VaultConfig;
	/** What is known of the copies that there are. */
	copies: Copies;
	/** Needed where the key has a copy in Woodpecker. */
	woodpecker: WoodpeckerConfig | undefined;
}

/**
 * A host's login key: its line in authorized_keys, and its copies in Vault and Woodpecker. The line changes last, so that
 * whoever uses a copy always has a key that is let in. Vault is that of the `provider` that its options have.
 */
export class KeyMirror extends pulumi.ComponentResource {
	/** Why the host could not be reached, a sentence; empty where it was. */
	readonly unreachable: pulumi.Output<string>;
	/** Known once all of it is done. */
	readonly done: pulumi.Output<unknown>;

	constructor(name: string, args: KeyMirrorArgs, options?: pulumi.ComponentResourceOptions) {
		super("homelab:credentials:KeyMirror", name, {}, options);
		const { connection, key, woodpecker } = args;
		const { unproved, unavailable } = args.copies;
		if (unavailable !== undefined)
			void pulumi.log.warn(
				`the login key of ${connection.host} stays as it is, on the host and in its copies, because it is not known which one Vault has: ${unavailable}`,
				this,
			);
		if (unproved !== undefined)
			void pulumi.log.warn(
				`copies of the login key of ${connection.host} stay as they are, and none is made, because it is not proved that it lets the key in: ${unproved}`,
				this,
			);
		const copies: pulumi.Resource[] = [];
		if (key.vault !== undefined) copies.push(...this.inVault(name, key.vault, args));
		if (key.secret !== undefined && woodpecker !== undefined) {
			const value = withNewline(connection.privateKey);
			const secret = { ...woodpecker, ...key.secret, value, unproved: unproved ?? unavailable };
			// Otherwise a failed update leaves the old secret to be deleted by a later one, when a new secret may have its name.
			copies.push(new Secret(`${name}-woodpecker`, secret, { parent: this, deleteBeforeReplace: true }));
		}
		const line = { text: authorizedLine(connection.privateKey, key.label, key.options), label: key.label };
		const file = { present: [line], absent: [], notify: [], effect: "who may log in changes" };
		const fileSet = new FileSet(
			name,
			{
				name: "key",
				connection,
				preconditions: [],
				checks: [],
				conditions: {},
				files: {},
				lines: { "/root/.ssh/authorized_keys": file },
			},
			// Nobody is locked out because a key is no longer declared, or because its copies could not follow.
			{
				parent: this,
				dependsOn: copies,
				retainOnDelete: true,
				ignoreChanges: unavailable === undefined ? [] : ["lines"],
			},
		);
		this.unreachable = fileSet.unreachable;
		this.done = fileSet.revisions;
		this.registerOutputs({ unreachable: this.unreachable });
	}

	private inVault(
		name: string,
		path: string,
		{ connection, vault: { mount, policies }, key, copies: { held, unavailable, unproved } }: KeyMirrorArgs,
	): pulumi.Resource[] {
		const there = held?.data && sortedByKey(held.data);
		const entry = unproved === undefined ? entryOf(connection, key) : there;
		const child = { parent: this };
		const copies: pulumi.Resource[] = [];
		if (entry !== undefined) {
			const isThere = JSON.stringify(there) === JSON.stringify(entry);
			// Vault looks for the version among the options. What is there needs none, whether the state knows of it or not.
			const options = isThere ? {} : { options: { cas: String(held?.version ?? 0) } };
			const ignoreChanges = unavailable !== undefined ? ["options", "dataJson"] : isThere ? ["options"] : [];
			const dataJson = pulumi.secret(JSON.stringify(entry));
			copies.push(
				new vault.kv.SecretV2(
					`${name}-copy`,
					{ mount, name: path, dataJson, ...options },
					{ ...child, ignoreChanges, retainOnDelete: true },
				),
			);
		}
		if (!policies) return copies;
		const managed = Object.entries(policiesOf(mount, path, name)).map(
			([suffix, policy]) => new vault.Policy(`${name}-${suffix}`, { name: `${name}-${suffix}`, policy }, child),
		);
		return [...copies, ...managed];
	}
}

function sortedByKey(data: Record<string, string>): Record<string, string> {
	return Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)));
}
