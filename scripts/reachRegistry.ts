/** How commands that take an image's name reach its registry. */
import { readFile } from "node:fs/promises";
import type { Config } from "../config.ts";
import { ExpectedError } from "../host/expectedError.ts";
import { credentialsFor } from "../oci/credentials.ts";
import { Registry } from "../oci/registry.ts";

export interface ReachOptions {
	/** A file with the CA to trust. The stack's by default, or the system's. */
	ca?: string;
	/** Without TLS. False by default. */
	plainHttp?: boolean;
}

/** The CA's file is not there. */
class CaError extends ExpectedError {}

/**
 * With the credentials of REGISTRY_USER and REGISTRY_PASSWORD, else docker's, else those of the stack with that config.
 * Throws a CredentialsError or a CaError.
 */
export async function reachRegistry(
	host: string,
	{ ca: file, plainHttp }: ReachOptions,
	config?: Pick<Config, "secrets" | "registryCa">,
): Promise<Registry> {
	const { registryUser: user = "", registryPassword: password = "" } = config?.secrets ?? {};
	const credentials = (await credentialsFor(host)) ?? (user === "" ? undefined : { user, password });
	const ca = file === undefined ? config?.registryCa : await read(file);
	return new Registry({
		url: `${plainHttp ? "http" : "https"}://${host}`,
		...(ca !== undefined && { ca }),
		...(credentials && { credentials }),
	});
}

function read(file: string): Promise<string> {
	return readFile(file, "utf8").catch(() => Promise.reject(new CaError(`there is no ${file}`)));
}
