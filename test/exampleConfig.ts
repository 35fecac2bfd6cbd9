/** The estate of facts.md as the values of a stack's config, with operator's values that are made up. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Config } from "../config.ts";

const HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl7nqVg5cDjSM2M0dmwFw0QvJ8hyjzv0yYbbyDGnPsj";

export function exampleValues(): Config {
	const { config } = parse(readFileSync(new URL("../Pulumi.prod.yaml", import.meta.url), "utf8"));
	const prod = Object.fromEntries(
		Object.entries(config).map(([key, value]) => [key.replace("homelab-registry:", ""), value]),
	) as Config;
	for (const host of prod.dns.hosts) host.hostKey = HOST_KEY;
	return {
		...prod,
		registryHostKey: HOST_KEY,
		sshPrivateKey: "-----BEGIN OPENSSH PRIVATE KEY-----\nssh-key-material\n-----END OPENSSH PRIVATE KEY-----\n",
		registryUser: "pusher",
		registryPassword: "registry-password-material",
		dockerhubUsername: "hub-account",
		dockerhubPassword: "hub-password-material",
		tlsCertificate: "-----BEGIN CERTIFICATE-----\ncertificate\n-----END CERTIFICATE-----\n",
		tlsPrivateKey: "-----BEGIN PRIVATE KEY-----\ntls-key-material\n-----END PRIVATE KEY-----\n",
	};
}
