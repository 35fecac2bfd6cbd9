import * as pulumi from "@pulumi/pulumi";
import { DnsResolver } from "./components/dnsResolver/dnsResolver.ts";
import { IntegrityMonitoring } from "./components/integrityMonitoring/integrityMonitoring.ts";
import { RegistryVm } from "./components/registryVm/registryVm.ts";
import { fromText, isRegistryHost, parseConfig, registryConnection } from "./config.ts";

const project = `${pulumi.getProject()}:`;
const values = Object.entries(pulumi.runtime.allConfig()).filter(([key]) => key.startsWith(project));
const config = parseConfig(
	pulumi.getStack(),
	fromText(Object.fromEntries(values.map(([key, text]) => [key.slice(project.length), text]))),
);

const resolvers = config.dns.hosts.map((host) => new DnsResolver(`dns-${host.name}`, { host, config }));

const registry = new RegistryVm(
	"registry",
	{ connection: registryConnection(config), config },
	// Its containers get the name servers that it has when they start.
	{ dependsOn: resolvers.filter(({ host }) => isRegistryHost(config, host)) },
);

new IntegrityMonitoring("registry-integrity", { config }, { dependsOn: [registry] });
