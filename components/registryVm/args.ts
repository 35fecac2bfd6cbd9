/** The arguments of a RegistryVm: the role `registry` of a host in the config, and what index.ts adds to it. */

import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { Connection } from "../../host/ssh.ts";
import type { TlsPair } from "./tlsPair.ts";

const port = z.int().min(1).max(65535);

const plainName = z.string().regex(/^[a-z][a-z0-9-]*$/, "is not a plain name");

/** Names of containers that are not registries'. */
const TAKEN = ["nginx", "ui"];

const size = z.string().regex(/^\d+[KMGT]iB$/, 'is not a size like "100GiB"');

const registryName = plainName
	.refine((name) => !TAKEN.includes(name), `is one of ${TAKEN.join(", ")}, whose containers are not registries`)
	.describe("Names the service (`registry-<name>`), its config and its data directory.");

const cache = z
	.strictObject({
		name: registryName,
		port: port.describe("Where nginx serves it, over plain HTTP."),
		upstream: z
			.url({ protocol: /^https?$/, error: "is not a URL with http or https" })
			.describe("The URL of the registry that it caches."),
		authenticated: z
			.boolean()
			.default(false)
			.describe("Whether the upstream is asked with `dockerhubUsername` and `dockerhubPassword`. False by default."),
		maxSize: size
			.optional()
			.describe(
				"What its kept tags may need in all, for example `10GiB`: the ones that were asked for longest ago go. The newest 10 tags of each repository by default, whatever their size.",
			),
		metricsPort: port.optional().describe("Where its Prometheus metrics are published. Nowhere by default."),
	})
	.describe("A pull-through cache of one upstream registry.");

const privateRegistry = z
	.strictObject({
		name: registryName,
		port: port.describe("Where nginx serves it, over TLS."),
		hostname: z
			.string()
			.regex(/^[a-z0-9.-]+$/, "is not a host name")
			.describe("The name in its certificate."),
		address: z
			.union([z.ipv4(), z.ipv6()])
			.optional()
			.describe(
				"Where the cluster's pods connect to it, an IP address: for a name that leads elsewhere for them. By default they look the name up.",
			),
		maxSize: size.describe("Handed to the registry's storage driver, for example `100GiB`."),
	})
	.describe("The registry that is pushed to, over TLS and with basic authentication.");

export const registryRole = z
	.strictObject({
		uiPort: port.describe("Where the registry UI is published on the VM."),
		uiSettings: z
			.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/, "is not a setting of the UI"), z.string())
			.default({})
			.describe(
				'Settings of the registry UI, its environment variables, for example `{ REGISTRY_TITLE: "home" }`; they win over this program\'s own. None by default.',
			),
		subnet: z
			.string()
			.regex(/^\d+\.\d+\.\d+\.0\/24$/, 'is not a /24 network like "172.28.50.0/24"')
			.refine((subnet) => z.cidrv4().safeParse(subnet).success, "is not a network: a part of it is over 255")
			.describe("The compose network, a /24. Every service has a fixed address in it."),
		caches: z
			.array(cache)
			.min(1)
			.describe("Append, and don't reorder: a cache's position gives its address on the compose network."),
		private: privateRegistry.optional().describe("None by default: caches only."),
	})
	.superRefine(({ uiPort, caches, private: own }, context) => {
		const once = (what: string, uses: [path: (string | number)[], value: string | number | undefined][]) => {
			const seen = new Map<string | number, string>();
			for (const [path, value] of uses) {
				if (value === undefined) continue;
				const first = seen.get(value);
				if (first === undefined) seen.set(value, path.join("."));
				else context.addIssue({ code: "custom", path, message: `${what} ${value} is already used by ${first}` });
			}
		};
		once("port", [
			...caches.map(({ port }, i): [(string | number)[], number] => [["caches", i, "port"], port]),
			...caches.map(({ metricsPort }, i): [(string | number)[], number | undefined] => [
				["caches", i, "metricsPort"],
				metricsPort,
			]),
			...(own ? [[["private", "port"], own.port] as [string[], number]] : []),
			[["uiPort"], uiPort],
		]);
		once("name", [
			...caches.map(({ name }, i): [(string | number)[], string] => [["caches", i, "name"], name]),
			...(own ? [[["private", "name"], own.name] as [string[], string]] : []),
		]);
	});

const image = z
	.string()
	.regex(/^[\w.\-/:]+:[\w.-]+(@sha256:[0-9a-f]{64})?$/, 'is not an image with a tag, like "registry:2.8.3"');

export const vmImages = {
	registry: image.describe("Of all registries, in lockstep."),
	nginx: image.describe("Of the proxy in front of them."),
	ui: image.describe("Of the registry UI."),
};

export type RegistryRole = z.output<typeof registryRole>;
export type Cache = z.output<typeof cache>;
export type PrivateRegistry = z.output<typeof privateRegistry>;

export interface VmImages {
	/** Of all registries, in lockstep. */
	registry: string;
	/** Of the proxy in front of them. */
	nginx: string;
	/** Of the registry UI. */
	ui: string;
}

/** What decides which files there are, and is shown in previews. */
export interface RegistryVmSettings {
	role: RegistryRole;
	images: VmImages;
	/** A repository that is always in the private registry; the probe knows it by that. */
	canary: string;
}

/** What only the operator has; what no registry of the VM needs is empty. */
export interface RegistryVmSecrets extends TlsPair {
	/** The private registry's user. */
	registryUser: string;
	/** The private registry's password. */
	registryPassword: string;
	/** The account with which authenticated caches ask their upstream. */
	dockerhubUsername: string;
	/** That account's password or access token. */
	dockerhubPassword: string;
}

export interface RegistryVmArgs extends RegistryVmSettings {
	/** How the VM is reached. */
	connection: pulumi.Input<Connection>;
	/** Credentials and the certificate. Each one may be an output. */
	secrets: { [Key in keyof RegistryVmSecrets]: pulumi.Input<RegistryVmSecrets[Key]> };
	/** True where `pulumi destroy` is refused until this is taken back. False by default. */
	protect?: boolean;
}
