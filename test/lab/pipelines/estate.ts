/** The lab in place of the estate that the pipelines are written for. */
import { STACK } from "../../../lab/estate.ts";
import { env } from "../lab.ts";

/** What a CI server is told by its administrator, whichever names it has for them. */
export interface Secrets {
	backend: string;
	passphrase: string;
	woodpecker: string;
	vault: string;
	slack: string;
	registryUser: string;
	registryPassword: string;
}

export function secretsOfLab(slack: string): Secrets {
	return {
		backend: env("PULUMI_BACKEND_URL"),
		passphrase: env("PULUMI_CONFIG_PASSPHRASE"),
		woodpecker: env("LAB_WOODPECKER_TOKEN"),
		vault: env("VAULT_TOKEN"),
		slack,
		registryUser: env("LAB_REGISTRY_USER"),
		registryPassword: env("LAB_REGISTRY_PASSWORD"),
	};
}

/** What the estate has by itself: published plugins, a cluster, Vault, certificates that everybody trusts. */
export function surroundings(): Record<string, string> {
	const names = [
		"PULUMI_HOME",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
		"PULUMI_SKIP_UPDATE_CHECK",
		"KUBECONFIG",
		"VAULT_ADDR",
		"VAULT_CACERT",
	];
	const same = Object.fromEntries(names.map((name) => [name, env(name)]));
	return { ...same, NODE_EXTRA_CA_CERTS: env("LAB_REGISTRY_CA"), STACK };
}

/** A command with the lab's names in place of the estate's. */
export function forLab(command: string): string {
	return command
		.replaceAll("registry.viktorbarzin.me:5050", env("LAB_REGISTRY"))
		.replaceAll(" -- prod", ` -- ${STACK}`);
}

/** What the whole suite does by itself. */
export function isSuite(command: string): boolean {
	return ["npm test", "npm run --silent lint"].includes(command);
}
