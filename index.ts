import * as pulumi from "@pulumi/pulumi";
import * as vault from "@pulumi/vault";
import { clusterProvider } from "./components/cluster.ts";
import { DnsResolver } from "./components/dnsResolver/dnsResolver.ts";
import { DriftDetection } from "./components/driftDetection/driftDetection.ts";
import { formerProvider, IntegrityMonitoring } from "./components/integrityMonitoring/integrityMonitoring.ts";
import { type Copies, lookAtCopies } from "./components/keyMirror/copies.ts";
import { keyAlerts } from "./components/keyMirror/keyAge.ts";
import { KeyMirror } from "./components/keyMirror/keyMirror.ts";
import { registryAlerts } from "./components/registryVm/alerts.ts";
import { certificateFingerprint } from "./components/registryVm/certificate.ts";
import { cacheContainers } from "./components/registryVm/registries.ts";
import { RegistryVm } from "./components/registryVm/registryVm.ts";
import { readTlsPair } from "./components/registryVm/tlsPair.ts";
import { fromText, PROJECT, parseConfig } from "./config.ts";
import { failForUnreachable, reportDeferred } from "./host/reachability.ts";
import { refuseDeadAgent } from "./host/sshAgent.ts";

// Pulumi's SDK looks each line of the stacks that it keeps up in source maps, for half a second; this program has none.
Reflect.deleteProperty(Error, "prepareStackTrace");
await refuseDeadAgent();
const values = Object.entries(pulumi.runtime.allConfig()).filter(([key]) => key.startsWith(`${PROJECT}:`));
const plain = Object.fromEntries(values.map(([key, text]) => [key.slice(PROJECT.length + 1), text]));
const encrypted = JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]") as string[];
const config = parseConfig(pulumi.getStack(), fromText(plain), (key) => encrypted.includes(`${PROJECT}:${key}`));
const { images, monitoring, protect, canary, registryCa: ca, dnsNames: names, firstRegistry: first } = config;
const servers = config.driftDetection;
const tls =
	"tlsCertificate" in config.tls ? config.tls : await readTlsPair(config.tls, config.vault.mount, import.meta.dirname);
const secrets = { ...config.secrets, ...tls };
const certificate = certificateFingerprint(tls.tlsCertificate);

const resolvers = config.hosts.flatMap(({ name, connection, dns, registry }) => {
	const containers = registry && cacheContainers(registry);
	return dns
		? [{ name, component: new DnsResolver(`dns-${name}`, { connection, resolver: dns, names, containers }) }]
		: [];
});

const vms = config.hosts.flatMap((host) => (host.registry ? [{ ...host, role: host.registry }] : []));
const registries = vms.map(({ name, connection, role }) => {
	// Its containers get the name servers that it has when they start.
	const dependsOn = resolvers.filter((resolver) => resolver.name === name).map(({ component }) => component);
	// Before 0.2 there was one, of that name.
	const options = { dependsOn, aliases: name === first ? [{ name: "registry" }] : [] };
	const args = { connection, secrets, protect, role, images, canary };
	return { name, role, component: new RegistryVm(`registry-${name}`, args, options) };
});

const provider = monitoring && clusterProvider(monitoring.context, [formerProvider()]);
const probes = registries.flatMap(({ name, role, component }) => {
	if (monitoring === undefined || provider === undefined || role.private === undefined) return [];
	const suffix = name === first ? "" : `-${name}`;
	const { private: registry } = role;
	const args = { ...monitoring, servers, suffix, image: images.node, registry, certificate, secrets, ca };
	return [new IntegrityMonitoring(`registry-integrity${suffix}`, args, { provider, dependsOn: component })];
});
if (monitoring && provider) {
	const alerts = [keyAlerts(monitoring.runbooks), registryAlerts(monitoring.runbooks)];
	new DriftDetection("drift-detection", { ...monitoring, alerts, woodpecker: config.woodpecker }, { provider });
}

const mirrored = config.hosts.flatMap((host) => (host.key ? [{ ...host, key: host.key }] : []));
// A child token of the login's would need a right of its own.
const vaultProvider = mirrored.some(({ key }) => key.vault) && new vault.Provider("vault", { skipChildToken: true });
const found = await lookAtCopies(mirrored, config.vault.mount);
const keys = mirrored.map(({ name, connection, key }, i) => {
	const args = { connection, key, vault: config.vault, copies: found[i] as Copies, woodpecker: config.woodpecker };
	return { name, component: new KeyMirror(`key-${name}`, args, vaultProvider ? { provider: vaultProvider } : {}) };
});

const managed = [...resolvers, ...registries, ...keys];
/** Where clients reach the registries, by VM and name. */
export const urls = Object.fromEntries(registries.map(({ name, component }) => [name, component.urls]));
/** By VM and group: new whenever something of the group was changed there. */
export const revisions = Object.fromEntries(registries.map(({ name, component }) => [name, component.revisions]));
/** Hosts that are only declared, a sentence each. */
export const deferred = config.deferred.map(reportDeferred);
/** By host: why it could not be reached, where it could not. */
export const unreachable = pulumi
	.all(managed.map(({ name, component }) => component.unreachable.apply((reason = "") => [name, reason] as const)))
	.apply((all) => Object.fromEntries(all.filter(([, reason]) => reason !== "")));
failForUnreachable(unreachable, [
	...managed.map(({ component }) => component.done),
	...probes.map((one) => one.cronJob),
]);
