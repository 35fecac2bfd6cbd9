import * as pulumi from "@pulumi/pulumi";
import { FileSet } from "../../host/resources.ts";
import { triggeredCommand } from "../../host/triggeredCommand.ts";
import type { DnsResolverArgs } from "./args.ts";
import { FILE_SET, resolverSet, SCRIPTS } from "./files.ts";
import { GROUP } from "./resolver.ts";

/**
 * One host's DNS resolver: the internal server first, a public one where that does not answer. A change that does
 * not resolve is taken back by the host itself.
 */
export class DnsResolver extends pulumi.ComponentResource {
	/** New whenever the resolver was changed on the host. */
	readonly revision: pulumi.Output<string>;
	/** Why the host could not be reached, a sentence; empty where it was. */
	readonly unreachable: pulumi.Output<string>;
	/** Known once everything of the resolver is done. */
	readonly done: pulumi.Output<string>;

	constructor(
		name: string,
		{ connection, resolver, names, containers = [] }: DnsResolverArgs,
		options?: pulumi.ComponentResourceOptions,
	) {
		super("homelab:dns:DnsResolver", name, {}, options);
		const set = pulumi.all([resolver, names, containers]).apply((values) => resolverSet(...values));
		const files = new FileSet(
			name,
			{
				name: FILE_SET,
				connection,
				preconditions: set.preconditions,
				checks: set.checks,
				beforeActivation: set.beforeActivation,
				conditions: set.conditions,
				files: set.apply(({ files }) =>
					Object.fromEntries(Object.entries(files).map(([path, { secret: _, ...file }]) => [path, file])),
				),
			},
			// A host without a resolver is worse off than one with the last that was declared.
			{ parent: this, retainOnDelete: true },
		);
		this.revision = files.revision(GROUP);
		this.unreachable = files.unreachable;
		const commit = triggeredCommand(
			`${name}-commit`,
			files,
			{ create: pulumi.interpolate`sh ${SCRIPTS}/commit.sh ${this.revision}`, triggers: [this.revision] },
			{ parent: this, dependsOn: [files] },
		);
		this.done = commit.id;
		this.registerOutputs({ revision: this.revision, unreachable: this.unreachable });
	}
}
