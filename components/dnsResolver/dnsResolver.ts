import { connect } from "node:net";
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type Config, type DnsHost, dnsConnection } from "../../config.ts";
import { declaredFiles } from "../../host/declaredFiles.ts";
import { onlyTriggers } from "../../host/onlyTriggers.ts";
import { FileSet } from "../../host/resources.ts";
import { armDns, commitDns, DNS_FILE_SET, resolver } from "./files.ts";

export interface DnsResolverArgs {
	host: DnsHost;
	config: Config;
}

/**
 * One host's DNS resolver: the internal server first, a public one where that does not answer. A change that does
 * not resolve is taken back by the host itself.
 */
export class DnsResolver extends pulumi.ComponentResource {
	readonly host: DnsHost;

	constructor(name: string, { host, config }: DnsResolverArgs, options?: pulumi.ComponentResourceOptions) {
		super("homelab:dns:DnsResolver", name, {}, options);
		this.host = host;
		if (host.deferred !== undefined) {
			const since = `${host.name} (${host.address}): its DNS is deferred since ${host.deferred}`;
			const told = reachable(host).then((answers) =>
				pulumi.log.warn(
					answers ? `${since}; it can be reached now: take "deferred" away` : `${since}, and it still can't be reached`,
					this,
				),
			);
			this.registerOutputs({ told });
			return;
		}
		const connection = dnsConnection(config, host);
		const { preconditions, checks, conditions, files: all } = resolver(config, host);
		const files = new FileSet(
			name,
			{
				name: DNS_FILE_SET,
				connection,
				preconditions,
				checks: [...checks, armDns(config, host)],
				conditions,
				files: declaredFiles(all),
			},
			// A host without a resolver is worse off than one with the last that was declared.
			{ parent: this, retainOnDelete: true },
		);
		const revision = files.revisions.apply(({ dns }) => dns as string);
		new remote.Command(
			`${name}-commit`,
			{
				connection,
				...onlyTriggers,
				create: revision.apply((changed) => commitDns(config, host, changed)),
				triggers: [revision],
			},
			{ parent: this, dependsOn: [files] },
		);
		this.registerOutputs({});
	}
}

/** Whether its SSH port takes a connection within three seconds. */
function reachable({ address, port }: DnsHost): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect({ host: address, port, timeout: 3000 });
		const end = (answers: boolean) => {
			socket.destroy();
			resolve(answers);
		};
		socket.once("connect", () => end(true));
		socket.once("timeout", () => end(false));
		socket.once("error", () => end(false));
	});
}
