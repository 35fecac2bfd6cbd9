/** User and password for a registry, as docker and crane find them. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

export interface Credentials {
	user: string;
	password: string;
}

/** What is configured can't be used; the message names the file or the helper, and says why. */
export class CredentialsError extends Error {}

interface DockerConfig {
	auths?: Record<string, { auth?: string; username?: string; password?: string }>;
	credHelpers?: Record<string, string>;
	credsStore?: string;
}

/**
 * REGISTRY_USER and REGISTRY_PASSWORD; else what docker's config.json (in DOCKER_CONFIG, or ~/.docker) has for the host, by
 * a credential helper or in itself. Undefined where nothing is configured for it. Throws a CredentialsError where that
 * can't be read.
 */
export async function credentialsFor(
	host: string,
	env: NodeJS.ProcessEnv = process.env,
): Promise<Credentials | undefined> {
	const { REGISTRY_USER: user, REGISTRY_PASSWORD: password } = env;
	if (user && password) return { user, password };
	if (user || password)
		throw new CredentialsError("REGISTRY_USER and REGISTRY_PASSWORD are needed together, and one of them is not set");
	const file = join(env["DOCKER_CONFIG"] || join(homedir(), ".docker"), "config.json");
	const config = await readConfig(file);
	const helper = config.credHelpers?.[host] ?? config.credsStore;
	const fromHelper = helper ? await askHelper(helper, host) : undefined;
	if (fromHelper !== undefined) return fromHelper;
	const entry = [host, `https://${host}`, `http://${host}`, `https://${host}/v2/`]
		.map((name) => config.auths?.[name])
		.find((found) => found !== undefined);
	if (entry?.username && entry.password) return { user: entry.username, password: entry.password };
	if (!entry?.auth) return undefined;
	const text = Buffer.from(entry.auth, "base64").toString();
	const colon = text.indexOf(":");
	if (colon < 1) throw new CredentialsError(`${file}: what it has for ${host} is no user and password; log in again`);
	return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

async function readConfig(file: string): Promise<DockerConfig> {
	let text: string;
	try {
		text = await readFile(file, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
		throw new CredentialsError(`${file} can't be read: ${(error as Error).message}`);
	}
	try {
		const config: unknown = JSON.parse(text);
		if (typeof config === "object" && config !== null) return config as DockerConfig;
	} catch {
		// Said below.
	}
	throw new CredentialsError(`${file} is not a JSON object`);
}

/** By the protocol of docker's credential helpers: the host on standard input, JSON on standard output. */
async function askHelper(helper: string, host: string): Promise<Credentials | undefined> {
	const program = `docker-credential-${helper}`;
	const { stdout, stderr, failed, code } = await execa(program, ["get"], { input: host, reject: false });
	if (code === "ENOENT")
		throw new CredentialsError(`docker's config names the credential helper ${program}, which is not there`);
	// A helper that knows nothing of the host says so, with a status of its own.
	if (failed && /credentials not found/i.test(stdout + stderr)) return undefined;
	if (failed) throw new CredentialsError(`${program} gives nothing for ${host}: ${(stderr || stdout).trim()}`);
	try {
		const { Username, Secret } = JSON.parse(stdout) as { Username?: unknown; Secret?: unknown };
		if (typeof Username === "string" && typeof Secret === "string") return { user: Username, password: Secret };
	} catch {
		// Said below.
	}
	throw new CredentialsError(`${program} answers for ${host} with something that is no user and secret`);
}
