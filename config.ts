/** The stack's configuration: parsed and validated once, before anything is reached. */
import { z } from "zod";
import type { Connection } from "./host/ssh.ts";

const user = z.string().regex(/^[a-z_][a-z0-9_-]*$/, "is not a user name");
const address = z.string().regex(/^[A-Za-z0-9.:-]+$/, "is not a host name or an address");
const port = z.int().min(1).max(65535);
const image = z
	.string()
	.regex(/^[\w.\-/:]+:[\w.-]+(@sha256:[0-9a-f]{64})?$/, 'is not an image with a tag, like "registry:2.8.3"');
const pem = (label: string) =>
	z.string().refine((text) => text.includes(`-----BEGIN ${label}`), `is not a PEM text with a ${label.toLowerCase()}`);

/** A pull-through cache of one upstream registry. */
const cache = z.strictObject({
	/** Names the service (`registry-<name>`), its config and its data directory. */
	name: z.string().regex(/^[a-z][a-z0-9-]*$/, "is not a plain name"),
	/** Where nginx serves it, over plain HTTP. */
	port,
	upstream: z.url({ protocol: /^https?$/, error: "is not a URL with http or https" }),
	/** True where the upstream is asked with `dockerhubUsername` and `dockerhubPassword`. */
	authenticated: z.boolean().default(false),
	/** Where Prometheus metrics are published, if at all. */
	metricsPort: port.optional(),
});

/** The registry that is pushed to: TLS and basic authentication. */
const privateRegistry = z.strictObject({
	name: cache.shape.name,
	/** Where nginx serves it, over TLS. */
	port,
	/** The name in its certificate. */
	hostname: z.string().regex(/^[a-z0-9.-]+$/, "is not a host name"),
	/** Handed to the registry's storage driver, for example `100GiB`. */
	maxSize: z.string().regex(/^\d+[KMGT]iB$/, 'is not a size like "100GiB"'),
});

/** The probe of the private registry's images, in Kubernetes, and what comes of it. */
const monitoring = z.strictObject({
	/** The namespace of the CronJob and all it needs. */
	namespace: z.string().regex(/^[a-z0-9-]+$/, "is not a namespace"),
	/** As the cluster's pods reach it. */
	pushgateway: z.url({ protocol: /^https?$/, error: "is not a URL with http or https" }),
	/** How Prometheus takes its rules there. */
	rules: z.enum(["PrometheusRule", "ConfigMap"]),
	/** What the alerts' runbook links begin with; as it is, a path in this repository. */
	runbooks: z.string().default("docs/runbooks"),
	/** A repository that is always in the private registry. */
	canary: z
		.string()
		.regex(/^[a-z0-9]+([./_-][a-z0-9]+)*$/, "is not a repository's name")
		.default("canary"),
});

const hostKey = z
	.string()
	.regex(
		/^(ssh|ecdsa)-\S+ [A-Za-z0-9+/=]+$/,
		'is not a host key: expected "<type> <base64>", as ssh-keyscan prints it after the name',
	);
const name = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, "is not a DNS name");

/** A host whose resolver is managed: its /etc/resolv.conf, or systemd-resolved. */
const dnsHost = z.strictObject({
	name: cache.shape.name,
	address,
	port: port.default(22),
	user: user.default("root"),
	/** Needed unless the host is deferred, or the registry VM. */
	hostKey: hostKey.optional(),
	/** Set where systemd-resolved resolves names, and netplan says which servers an interface has. */
	netplan: z
		.strictObject({
			/** The interface. */
			interface: z.string().regex(/^[a-z][a-z0-9.-]*$/, "is not the name of an interface"),
			/** Where it is configured. */
			file: z
				.string()
				.regex(/^\/etc\/netplan\/[\w.-]+\.yaml$/, "is not a YAML file in /etc/netplan")
				.default("/etc/netplan/50-cloud-init.yaml"),
		})
		.optional(),
	/** Asked first; it knows the internal names. */
	primary: z.ipv4("is not an IPv4 address"),
	/** Asked where the primary does not answer. */
	fallback: z.ipv4("is not an IPv4 address"),
	/** The domain that is appended to short names. */
	search: name,
	/** How long a server has for its answer, in seconds: 2 unless said otherwise; systemd-resolved has no such setting. */
	timeout: z.int().min(1).optional(),
	/** How often all servers are asked: twice unless said otherwise; systemd-resolved has no such setting. */
	attempts: z.int().min(1).optional(),
	/** Since when the host is only declared, and told of, because it can't be reached. */
	deferred: z
		.string()
		// Pulumi takes a date without quotes for a time, and writes it back as one.
		.regex(/^\d{4}-\d\d-\d\d([T ]00:00:00\b.*)?$/, "is not a date like 2026-04-19")
		.transform((text) => text.slice(0, 10))
		.optional(),
});

const dns = z.strictObject({
	/** A change is kept only where all of them resolve on the host: some that only the primary knows, and one of the world's. */
	names: z.strictObject({ internal: z.array(name).min(1), external: name }),
	hosts: z.array(dnsHost),
});

export type DnsHost = z.infer<typeof dnsHost>;
export type Cache = z.infer<typeof cache>;
export type PrivateRegistry = z.infer<typeof privateRegistry>;

const schema = z
	.strictObject({
		registryHost: z.strictObject({
			address,
			port: port.default(22),
			user: user.default("root"),
		}),
		/** True where `pulumi destroy` has to be refused until this is taken back. */
		protect: z.boolean().default(false),
		registryHostKey: hostKey,
		sshPrivateKey: z.string().regex(/-----BEGIN [A-Z ]*PRIVATE KEY-----/, "is not a private key"),
		images: z.strictObject({ registry: image, nginx: image, ui: image, node: image }),
		uiPort: port,
		/** The compose network; every service has a fixed address in it. */
		subnet: z.string().regex(/^\d+\.\d+\.\d+\.0\/24$/, 'is not a /24 network like "172.28.50.0/24"'),
		caches: z.array(cache).min(1),
		privateRegistry,
		monitoring,
		dns,
		/** The cluster's, as text; without it, whatever kubectl would use. */
		kubeconfig: z
			.string()
			.regex(/clusters:/, "is not a kubeconfig")
			.optional(),
		/** The CA that signed `tlsCertificate`, PEM; without it, the public ones did. */
		registryCa: pem("CERTIFICATE").optional(),
		registryUser: z.string().regex(/^[^:\s]+$/, "is not a user name"),
		registryPassword: z.string().min(8, "is shorter than 8 characters"),
		dockerhubUsername: z.string().min(1, "is empty"),
		dockerhubPassword: z.string().min(1, "is empty"),
		tlsCertificate: pem("CERTIFICATE"),
		tlsPrivateKey: pem("").refine((text) => text.includes("PRIVATE KEY-----"), "is not a private key"),
	})
	.superRefine((config, context) => {
		const once = (what: string, uses: [path: (string | number)[], value: string | number | undefined][]) => {
			const seen = new Map<string | number, string>();
			for (const [path, value] of uses) {
				if (value === undefined) continue;
				const first = seen.get(value);
				if (first !== undefined)
					context.addIssue({ code: "custom", path, message: `${what} ${value} is already used by ${first}` });
				else seen.set(value, describe(path));
			}
		};
		once("port", [
			...config.caches.map(({ port }, i): [(string | number)[], number] => [["caches", i, "port"], port]),
			...config.caches.map(({ metricsPort }, i): [(string | number)[], number | undefined] => [
				["caches", i, "metricsPort"],
				metricsPort,
			]),
			[["privateRegistry", "port"], config.privateRegistry.port],
			[["uiPort"], config.uiPort],
			[["registryHost", "port"], config.registryHost.port],
		]);
		config.dns.hosts.forEach((host, i) => {
			for (const key of ["timeout", "attempts"] as const) {
				if (host.netplan === undefined || host[key] === undefined) continue;
				const message = "systemd-resolved has no such setting; take it out";
				context.addIssue({ code: "custom", path: ["dns", "hosts", i, key], message });
			}
			if (host.deferred !== undefined || host.hostKey !== undefined || isRegistryHost(config, host)) return;
			const message = `missing; set it with "pulumi config set --path 'dns.hosts[${i}].hostKey' '<type> <base64>'"`;
			context.addIssue({ code: "custom", path: ["dns", "hosts", i, "hostKey"], message });
		});
		once(
			"host",
			config.dns.hosts.map(({ name }, i): [(string | number)[], string] => [["dns", "hosts", i, "name"], name]),
		);
		once("name", [
			...config.caches.map(({ name }, i): [(string | number)[], string] => [["caches", i, "name"], name]),
			[["privateRegistry", "name"], config.privateRegistry.name],
		]);
	});

export type Config = z.infer<typeof schema>;

/** How the registry VM is reached. */
export function registryConnection({ registryHost, sshPrivateKey, registryHostKey }: Config): Connection {
	const { address, port, user } = registryHost;
	return { host: address, port, user, privateKey: sshPrivateKey, hostKey: registryHostKey };
}

/** Whether it is the registry VM, whose containers have its servers, too. */
export function isRegistryHost({ registryHost }: Pick<Config, "registryHost">, { address, port }: DnsHost): boolean {
	return address === registryHost.address && port === registryHost.port;
}

/** How a host whose DNS is managed is reached; a deferred one is not. */
export function dnsConnection(config: Config, host: DnsHost): Connection {
	const { address, port, user, hostKey = config.registryHostKey } = host;
	return { host: address, port, user, privateKey: config.sshPrivateKey, hostKey };
}

/** What must be encrypted in the stack's file. */
export const secretKeys = [
	"sshPrivateKey",
	"registryPassword",
	"dockerhubPassword",
	"tlsPrivateKey",
] as const satisfies (keyof Config)[];

/** What must be, too, where it is set at all. */
export const optionalSecretKeys = ["kubeconfig"] as const satisfies (keyof Config)[];

/**
 * What only the operator has. Rendering reaches nothing and so can do without them: it puts
 * a mark in their place. Everything else needs them.
 */
export const operatorKeys = [
	...secretKeys,
	"registryHostKey",
	"registryUser",
	"dockerhubUsername",
	"tlsCertificate",
] as const satisfies (keyof Config)[];

/** The stack's config can't be used; the message has a line for each key that is wrong. */
export class ConfigError extends Error {}

/**
 * Checks the plain values of a stack's config, keyed without the project's name.
 * Throws a ConfigError that names every key that is unknown, missing or wrong.
 */
export function parseConfig(stack: string, values: Record<string, unknown>): Config {
	const result = schema.safeParse(values);
	if (result.success) return result.data;
	const problems = result.error.issues.flatMap((issue) => {
		if (issue.code === "unrecognized_keys") {
			return issue.keys.map(
				(key) => `${describe([...issue.path, key])}: unknown key; take it out, or correct its spelling`,
			);
		}
		const key = describe(issue.path);
		const missing = issue.code === "invalid_type" && at(values, issue.path) === undefined;
		if (!missing) return [`${key}: ${issue.message.replace(/^Invalid input: /, "")}`];
		const secret = ([...secretKeys, ...optionalSecretKeys] as string[]).includes(key) ? " --secret" : "";
		return [
			`${key}: missing; set it with "pulumi config set --stack ${stack}${secret} ${issue.path.length > 1 ? "--path " : ""}${key}"`,
		];
	});
	throw new ConfigError(
		`the config of stack ${stack} (Pulumi.${stack}.yaml) can't be used:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
	);
}

/** The values as the engine hands them over, all text; what is not declared as text is read as JSON. */
export function fromText(values: Record<string, string>): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(values).map(([key, text]) => {
			const type = (schema.shape as Record<string, z.ZodType>)[key];
			if (type === undefined || type instanceof z.ZodString) return [key, text];
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
