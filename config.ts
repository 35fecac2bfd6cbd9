/** The stack's configuration: composed from the roles' schemas, validated once, before anything is reached. */

import { z } from "zod";
import { type DnsRole, dnsNames, dnsRole } from "./components/dnsResolver/args.ts";
import { driftDetectionConfig } from "./components/driftDetection/args.ts";
import { CANARY, monitoringConfig } from "./components/integrityMonitoring/args.ts";
import {
	type KeyConfig,
	keyConfig,
	type VaultConfig,
	vaultConfig,
	woodpeckerConfig,
} from "./components/keyMirror/args.ts";
import { publicKeyOf } from "./components/keyMirror/sshKey.ts";
import { type RegistryRole, type RegistryVmSecrets, registryRole, vmImages } from "./components/registryVm/args.ts";
import { type TlsPair, type TlsSource, tlsSource } from "./components/registryVm/tlsPair.ts";
import { ExpectedError } from "./host/expectedError.ts";
import type { Connection } from "./host/ssh.ts";

/** What Pulumi puts before each key. */
export const PROJECT = "homelab-registry";

const hostName = z.string().regex(/^[a-z][a-z0-9-]*$/, "is not a plain name");

const hostKey = z
	.string()
	.regex(
		/^(ssh|ecdsa)-\S+ [A-Za-z0-9+/=]+$/,
		'is not a host key: expected "<type> <base64>", as ssh-keyscan prints it after the name',
	)
	.refine(
		(key) => !key.startsWith("ssh-rsa "),
		"is an RSA key, which Pulumi's command plugin does not take; pin another one of the host: ssh-keyscan -t ed25519 <address>",
	);

const privateKey = z
	.string()
	.regex(/-----BEGIN [A-Z ]*PRIVATE KEY-----/, "is not a private key")
	.refine(
		(key) => !key.includes("-----BEGIN PRIVATE KEY-----"),
		"is in PKCS#8 form, which the host plugin does not read; make one with ssh-keygen -t ed25519",
	)
	.refine(
		(key) => !/ENCRYPTED/.test(key),
		"is encrypted, and nobody is there to type its passphrase; take it off with ssh-keygen -p",
	);

const pem = (label: string) =>
	z.string().refine((text) => text.includes(`-----BEGIN ${label}`), `is not a PEM text with a ${label.toLowerCase()}`);

const host = z.strictObject({
	address: z
		.string()
		.regex(/^[A-Za-z0-9.:-]+$/, "is not a host name or an address")
		.describe("Where SSH reaches it: a name or an address."),
	port: z.int().min(1).max(65535).default(22).describe("Of SSH. 22 by default."),
	user: z
		.string()
		.regex(/^[a-z_][a-z0-9_-]*$/, "is not a user name")
		.default("root")
		.describe("The user that logs in. It has to be root, the default."),
	hostKey: hostKey
		.optional()
		.describe('Its SSH host key, "<type> <base64>"; any other is refused. Needed unless deferred.'),
	deferred: z
		.string()
		// Pulumi takes a date without quotes for a time, and writes it back as one.
		.regex(/^\d{4}-\d\d-\d\d([T ]00:00:00\b.*)?$/, "is not a date like 2026-04-19")
		.transform((text) => text.slice(0, 10))
		.optional()
		.describe("Since when the host is only declared, and reported, because it can't be reached: a date."),
	registry: registryRole.optional().describe("Its role as a container-registry VM. None by default."),
	dns: dnsRole.optional().describe("Its role as a host whose resolver is managed. None by default."),
	key: keyConfig
		.optional()
		.describe("Where its login key is let in, and where copies of it are. Not managed by default."),
});

/** Describes a key in Pulumi.yaml, too. `secret` where it has to be encrypted in the stack's file. */
const key = <Type extends z.ZodType>(type: Type, description: string, secret = false) =>
	type.meta({ description, secret });

const schema = z.strictObject({
	hosts: key(
		z.record(hostName, host),
		"The hosts by name - address, port (22), user (root), hostKey, deferred (a date), and their roles, key (label, options, vault, secret), registry (uiPort, uiSettings, subnet, caches, private) and dns (primary, fallback, search, netplan, timeout (2), attempts (2), revertSeconds (60))",
	),
	sshPrivateKeys: key(
		z.record(hostName.or(z.string().regex(/^[a-z][a-z0-9-]*\.next$/)), privateKey),
		"The private key that logs in, by host name, unencrypted OpenSSH or PEM; <host>.next is the one that a rotation is about to put in its place",
		true,
	),
	firstRegistry: key(
		hostName.optional(),
		"Of several registry VMs, the host that was there first: its probe and its resources keep their names; needed where there are several",
	),
	protect: key(z.boolean().default(false), "Whether pulumi destroy is refused until this is taken back"),
	images: key(
		z.strictObject({ ...vmImages, node: vmImages.registry.describe("Of the probe.") }),
		"Pinned images - registry (all registries in lockstep), nginx, ui, node (the probe's)",
	),
	dnsNames: key(
		dnsNames,
		"Names that have to resolve on a host for a change of its resolver to be kept - internal (a list), external",
	),
	monitoring: key(
		monitoringConfig.optional(),
		"The probe of the images, none by default - context (of the kubeconfig that kubectl would use), namespace, pushgateway (URL), rules (PrometheusRule or ConfigMap), runbooks (what links begin with), grafanaFolder, podLabels, podAnnotations, canary (repository)",
	),
	driftDetection: key(
		driftDetectionConfig.optional(),
		"The drift run's report, none by default - pushgateway (URL, as the run reaches it), prometheus (URL), branch (that the checkout has to be at), accepted (a list of resource, path, reason, until)",
	),
	vault: key(
		vaultConfig.optional(),
		"Where copies of login keys are in Vault (VAULT_ADDR) - mount (secret), policies (whether those are managed, false), registryPassword (entries that have the registry's password, a list of path and key)",
	),
	woodpecker: key(
		woodpeckerConfig.optional(),
		"The Woodpecker that has copies of login keys and runs the pipelines, none by default - server (URL, by default that of WOODPECKER_SERVER), repository (its number)",
	),
	registryCa: key(
		pem("CERTIFICATE").optional(),
		"The CA that signed tlsCertificate, PEM; by default, the public ones did",
	),
	registryUser: key(
		z
			.string()
			.regex(/^[^:\s]+$/, "is not a user name")
			.optional(),
		"The private registry's user; needed where there is one",
	),
	registryPassword: key(
		z.string().min(8, "is shorter than 8 characters").optional(),
		"The private registry's password, 8 characters at least; needed where there is one",
		true,
	),
	dockerhubUsername: key(
		z.string().optional(),
		"The account with which authenticated caches ask their upstream; needed where there are some",
	),
	dockerhubPassword: key(
		z.string().optional(),
		"That account's password or access token; needed where there are authenticated caches",
		true,
	),
	tlsFrom: key(
		tlsSource.optional(),
		"Where the private registry's certificate and its key are read at each run, instead of tlsCertificate and tlsPrivateKey - files (certificate, privateKey) or vault (path, certificate, privateKey)",
	),
	tlsCertificate: key(
		pem("CERTIFICATE").optional(),
		"The private registry's certificate and its chain, PEM; needed where there is one, unless there is tlsFrom",
	),
	tlsPrivateKey: key(
		pem("")
			.refine((text) => text.includes("PRIVATE KEY-----"), "is not a private key")
			.optional(),
		"The private key of that certificate, PEM; needed where there is a private registry, unless there is tlsFrom",
		true,
	),
});

type Values = z.output<typeof schema>;

/** A host that is managed, and what it is. */
export interface Host {
	name: string;
	connection: Connection;
	registry?: RegistryRole;
	dns?: DnsRole;
	key?: KeyConfig;
}

/** A host that is declared, and can't be reached for now. */
export interface DeferredHost {
	name: string;
	address: string;
	port: number;
	/** A date, for example `2026-04-19`. */
	since: string;
}

export interface Config
	extends Omit<Values, "hosts" | "sshPrivateKeys" | "firstRegistry" | "vault" | "tlsFrom" | keyof RegistryVmSecrets> {
	vault: VaultConfig;
	/** The certificate of the registries and its key, or where they are read. */
	tls: TlsPair | TlsSource;
	hosts: Host[];
	deferred: DeferredHost[];
	/** The registry VM that was there first, or is the only one; undefined where there is none. */
	firstRegistry: string | undefined;
	/** The repository that is always in the private registries. */
	canary: string;
	/** What only the operator has: credentials of the registries. */
	secrets: Omit<RegistryVmSecrets, keyof TlsPair>;
}

/**
 * Each top-level key: what it is, and whether it has to be encrypted. As Pulumi.yaml has them, where a key without a
 * default has to be set: one that need not be has an empty default.
 */
export function configKeys(): ConfigKey[] {
	return Object.entries(schema.shape).map(([name, type]) => {
		const { description = "", secret } = type.meta() as { description?: string; secret: boolean };
		const { type: kind, default: value } = z.toJSONSchema(type, { io: "input" });
		const empty = isOptional(type) ? (kind === "object" ? {} : "") : undefined;
		const preset = value ?? empty;
		// Pulumi takes no default for a key that it has to find encrypted: parseConfig looks at that one.
		const isLookedAt = secret && preset === undefined;
		return {
			...{ name, type: kind as string, description, secret: isLookedAt },
			...(preset !== undefined && { default: preset }),
		};
	});
}

/** The top-level keys whose values are encrypted. */
export function secretKeys(): string[] {
	return Object.keys(schema.shape).filter(isSecret);
}

function isSecret(name: string): boolean {
	const type = (schema.shape as Record<string, z.ZodType>)[name];
	return type?.meta()?.["secret"] === true;
}

function isOptional(type: z.ZodType): boolean {
	return type.safeParse(undefined).data === undefined && type.safeParse(undefined).success;
}

/** Without what is only there because Pulumi.yaml has to have a default for it. */
function withoutEmpty(values: Record<string, unknown>): Record<string, unknown> {
	const isEmpty = (value: unknown) =>
		value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
	const shape = schema.shape as Record<string, z.ZodType>;
	return Object.fromEntries(
		Object.entries(values).filter(([key, value]) => {
			const type = shape[key];
			return type === undefined || !isOptional(type) || !isEmpty(value);
		}),
	);
}

interface ConfigKey {
	name: string;
	/** Of JSON: `string`, `boolean` or `object`. */
	type: string;
	description: string;
	/** Whether Pulumi refuses a value that is not encrypted. */
	secret: boolean;
	default?: unknown;
}

/** What only the operator has, apart from the hosts' keys. Rendering puts a mark in its place. */
export const operatorKeys = [
	...(["registryUser", "registryPassword", "dockerhubUsername", "dockerhubPassword"] as const),
	...(["tlsCertificate", "tlsPrivateKey"] as const),
] satisfies (keyof Values)[];

/** Keys of releases before 0.2, and where their values are now. */
const MOVED: Record<string, string> = {
	registryHost: "hosts.<name> (address, port, user)",
	registryHostKey: "hosts.<name>.hostKey",
	sshPrivateKey: "sshPrivateKeys.<name>, one for each host",
	uiPort: "hosts.<name>.registry.uiPort",
	subnet: "hosts.<name>.registry.subnet",
	caches: "hosts.<name>.registry.caches",
	privateRegistry: "hosts.<name>.registry.private",
	dns: "hosts.<name>.dns and dnsNames",
	kubeconfig: "the environment's: KUBECONFIG, or kubectl's default path, and monitoring.context",
};

/** The stack's config can't be used; the message has a line for each key that is wrong. */
export class ConfigError extends ExpectedError {}

/**
 * Checks the plain values of a stack's config, keyed without the project's name; `isEncrypted` tells of a key whether its
 * value is in the stack's file. Throws a ConfigError that names every key that is unknown, missing or wrong.
 */
export function parseConfig(
	stack: string,
	values: Record<string, unknown>,
	isEncrypted: (key: string) => boolean = () => true,
): Config {
	const result = schema.safeParse(withoutEmpty(values));
	const problems = result.success ? contradictions(stack, result.data) : result.error.issues.flatMap(explain);
	for (const key of Object.keys(withoutEmpty(values)).filter((name) => isSecret(name) && !isEncrypted(name)))
		problems.push(
			`${key}: is not encrypted in the stack's file; set it again with "pulumi config set --secret ${key}"`,
		);
	if (!result.success || problems.length > 0)
		throw new ConfigError(
			`the config of stack ${stack} (Pulumi.${stack}.yaml) can't be used:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
		);
	const { hosts, sshPrivateKeys, ...rest } = result.data;
	const all = Object.entries(hosts);
	const { registryUser = "", registryPassword = "", dockerhubUsername = "", dockerhubPassword = "", ...others } = rest;
	const { tlsCertificate = "", tlsPrivateKey = "", tlsFrom, ...shown } = others;
	const managed = all.filter(([, { deferred }]) => deferred === undefined);
	return {
		...shown,
		firstRegistry: shown.firstRegistry ?? managed.find(([, { registry }]) => registry)?.[0],
		vault: shown.vault ?? vaultConfig.parse({}),
		canary: shown.monitoring?.canary ?? CANARY,
		secrets: { registryUser, registryPassword, dockerhubUsername, dockerhubPassword },
		tls: tlsFrom ?? { tlsCertificate, tlsPrivateKey },
		hosts: managed.map(([name, { address, port, user, hostKey = "", registry, dns, key }]) => ({
			name,
			connection: { host: address, port, user, privateKey: sshPrivateKeys[name] ?? "", hostKey },
			...(registry && { registry }),
			...(dns && { dns }),
			...(key && { key }),
		})),
		deferred: all.flatMap(([name, { address, port, deferred: since }]) =>
			since === undefined ? [] : [{ name, address, port, since }],
		),
	};

	function explain(issue: z.core.$ZodIssue): string[] {
		if (issue.code === "unrecognized_keys") {
			return issue.keys.map((key) => {
				const moved = issue.path.length === 0 ? MOVED[key] : undefined;
				return `${describe([...issue.path, key])}: ${moved ? `is now ${moved}; see CHANGELOG.md` : "unknown key; take it out, or correct its spelling"}`;
			});
		}
		if (issue.code === "invalid_key") return [`${describe(issue.path)}: ${issue.issues[0]?.message}`];
		const missing = issue.code === "invalid_type" && at(values, issue.path) === undefined;
		return [
			missing
				? missingKey(stack, issue.path)
				: `${describe(issue.path)}: ${issue.message.replace(/^Invalid input: /, "")}`,
		];
	}
}

/** What is wrong although each value by itself is right. */
function contradictions(
	stack: string,
	{ hosts, sshPrivateKeys, firstRegistry, woodpecker, tlsFrom, ...rest }: Values,
): string[] {
	const problems: string[] = [];
	for (const half of ["tlsCertificate", "tlsPrivateKey"] as const) {
		if (tlsFrom && rest[half] !== undefined)
			problems.push(`${half}: is read from tlsFrom; take one of the two out, so that it is clear which one counts`);
	}
	const reached = Object.entries(hosts).filter(([, { deferred }]) => deferred === undefined);
	const roles = reached.flatMap(([, { registry }]) => (registry ? [registry] : []));
	const needed = [
		...(roles.some((role) => role.private) ? (["registryUser", "registryPassword"] as const) : []),
		...(roles.some((role) => role.private) && !tlsFrom ? (["tlsCertificate", "tlsPrivateKey"] as const) : []),
		...(roles.some(({ caches }) => caches.some(({ authenticated }) => authenticated))
			? (["dockerhubUsername", "dockerhubPassword"] as const)
			: []),
	];
	for (const key of needed) if (rest[key] === undefined) problems.push(missingKey(stack, [key]));
	const copies = new Map<string, string>();
	for (const [name, { hostKey, port, registry, dns, key }] of reached) {
		if (key) problems.push(...unreadable(name, sshPrivateKeys[name]));
		if (key?.secret && woodpecker === undefined)
			problems.push(`${missingKey(stack, ["woodpecker"])}: hosts.${name}.key.secret is kept there`);
		for (const place of [key?.vault && `key.vault ${key.vault}`, key?.secret && `key.secret ${key.secret.name}`]) {
			if (!place) continue;
			const other = copies.get(place);
			if (other !== undefined) problems.push(`hosts.${name}: ${place} is already the copy of the key of ${other}`);
			copies.set(place, name);
		}
		if (hostKey === undefined) problems.push(missingKey(stack, ["hosts", name, "hostKey"]));
		if (sshPrivateKeys[name] === undefined) problems.push(missingKey(stack, ["sshPrivateKeys", name]));
		if (registry === undefined && dns === undefined && key === undefined)
			problems.push(`hosts.${name}: has no role; give it registry, dns or key, or take it out`);
		if (registry) problems.push(...overlaps(name, registry.subnet, hosts));
		const served = [...(registry?.caches ?? []), ...(registry?.private ? [registry.private] : [])];
		const ports = registry && [...served.map((one) => one.port), registry.uiPort];
		if (ports?.includes(port)) problems.push(`hosts.${name}.registry: port ${port} is already used by SSH`);
	}
	for (const name of Object.keys(sshPrivateKeys).map((key) => key.replace(/\.next$/, "")))
		if (hosts[name] === undefined) problems.push(`sshPrivateKeys.${name}: there is no such host in hosts`);
	const vms = reached.filter(([, { registry }]) => registry).map(([name]) => name);
	if (firstRegistry === undefined && vms.length > 1)
		problems.push(`${missingKey(stack, ["firstRegistry"])}, to one of ${vms.join(", ")}: the one that was there first`);
	if (firstRegistry !== undefined && !vms.includes(firstRegistry))
		problems.push(
			`firstRegistry: ${firstRegistry} is no host with the role registry; those are: ${vms.join(", ") || "none"}`,
		);
	const places = new Map<string, string>();
	for (const [name, { address, port }] of reached) {
		const other = places.get(`${address}:${port}`);
		if (other !== undefined)
			problems.push(`hosts.${name}: is at the same address and port as ${other}; declare it once`);
		places.set(`${address}:${port}`, name);
	}
	return problems;
}

/** A key whose copies are kept has to be one: render's mark, which is for people, is none and is let pass. */
function unreadable(name: string, key: string | undefined): string[] {
	if (key === undefined || key.includes("(secret sshPrivateKeys)")) return [];
	try {
		publicKeyOf(key);
		return [];
	} catch (error) {
		return [`sshPrivateKeys.${name}: ${(error as Error).message}`];
	}
}

/** Addresses that the VM has to reach can't be in a network that it has for its containers alone. */
function overlaps(name: string, subnet: string, hosts: Values["hosts"]): string[] {
	const prefix = subnet.replace(/0\/24$/, "");
	const taken = Object.entries(hosts).flatMap(([other, { address, dns }]) => [
		[`the address of ${other}`, address] as const,
		...(dns
			? ([
					["a name server of", dns.primary],
					["a name server of", dns.fallback],
				] as const)
			: []
		).map(([what, server]) => [`${what} ${other}`, server] as const),
	]);
	return taken
		.filter(([, address]) => address.startsWith(prefix))
		.map(
			([what, address]) =>
				`hosts.${name}.registry.subnet: ${subnet} contains ${address}, ${what}, which could then not be reached from there; choose a network that nothing uses`,
		);
}

function missingKey(stack: string, path: PropertyKey[]): string {
	const secret = isSecret(String(path[0])) ? " --secret" : "";
	const key = describe(path);
	return `${key}: missing; set it with "pulumi config set --stack ${stack}${secret} ${path.length > 1 ? "--path " : ""}${key}"`;
}

/** The values as the engine hands them over, all text; what is not declared as text is read as JSON. */
export function fromText(values: Record<string, string>): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(values).map(([key, text]) => {
			const type = (schema.shape as Record<string, z.ZodType>)[key];
			const inner = type instanceof z.ZodOptional ? type.unwrap() : type;
			if (inner === undefined || inner instanceof z.ZodString) return [key, text];
			try {
				return [key, JSON.parse(text)];
			} catch {
				return [key, text]; // Of the wrong type, which parseConfig says better.
			}
		}),
	);
}

function describe(path: readonly PropertyKey[]): string {
	return path
		.map((part, i) => (typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${String(part)}`))
		.join("");
}

function at(values: unknown, path: readonly PropertyKey[]): unknown {
	return path.reduce((value: unknown, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part], values);
}
