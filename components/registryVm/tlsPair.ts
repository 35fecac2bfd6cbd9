/** Where the private registry's certificate and its key come from: the config itself, files, or an entry in Vault. */

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { z } from "zod";
import { ExpectedError } from "../../host/expectedError.ts";
import { readEntry } from "../vault.ts";

const files = z.strictObject({
	certificate: z.string().min(1).describe("The file with the certificate and its chain, PEM."),
	privateKey: z.string().min(1).describe("The file with the certificate's private key, PEM."),
});

const entry = z.strictObject({
	path: z
		.string()
		.regex(/^[^/\s]+(\/[^/\s]+)*$/, "is not a path below the mount, without slashes around it")
		.describe("The entry's path below the mount (vault.mount)."),
	certificate: z.string().min(1).default("certificate").describe("Its key with the certificate and its chain, PEM."),
	privateKey: z.string().min(1).default("private_key").describe("Its key with the private key, PEM."),
});

export const tlsSource = z
	.strictObject({
		files: files.optional().describe("Two files; relative paths begin at this project's folder."),
		vault: entry.optional().describe("An entry of a KV mount of version 2."),
	})
	.refine((source) => Object.values(source).filter(Boolean).length === 1, "needs one of files and vault");

export type TlsSource = z.output<typeof tlsSource>;

export interface TlsPair {
	/** The certificate and its chain, PEM. */
	tlsCertificate: string;
	/** The private key of that certificate, PEM. */
	tlsPrivateKey: string;
}

/** The pair can't be read; the message names its source, and says what to do. */
export class TlsSourceError extends ExpectedError {}

/** Reads the pair as it is now. `folder` is where relative paths begin. Throws a TlsSourceError or a VaultError. */
export async function readTlsPair(source: TlsSource, mount: string, folder: string): Promise<TlsPair> {
	if (source.files) {
		const [tlsCertificate, tlsPrivateKey] = await Promise.all([
			text(source.files.certificate, folder, "certificate"),
			text(source.files.privateKey, folder, "privateKey"),
		]);
		return { tlsCertificate, tlsPrivateKey };
	}
	const { path, certificate, privateKey } = source.vault as z.output<typeof entry>;
	const { data } = await readEntry(mount, path);
	if (data === undefined)
		throw new TlsSourceError(
			`tlsFrom.vault: Vault has nothing at ${mount}/${path}, or it is deleted: write the pair there, or correct the path`,
		);
	const value = (key: string) => {
		const found = data[key];
		if (typeof found === "string" && found.includes("-----BEGIN ")) return withNewline(found);
		const keys = Object.keys(data).join(", ");
		throw new TlsSourceError(
			`tlsFrom.vault: ${mount}/${path} has no PEM text at ${key}; its keys are: ${keys || "none"}`,
		);
	};
	return { tlsCertificate: value(certificate), tlsPrivateKey: value(privateKey) };
}

async function text(path: string, folder: string, which: string): Promise<string> {
	let content: string;
	try {
		content = await readFile(resolve(folder, path), "utf8");
	} catch (error) {
		throw new TlsSourceError(`tlsFrom.files.${which} can't be read: ${(error as Error).message}`);
	}
	if (!content.includes("-----BEGIN "))
		throw new TlsSourceError(`tlsFrom.files.${which}: ${path} is no PEM text: name the file that has it`);
	return content;
}

/** A value that came through a command line has often lost it. */
function withNewline(pem: string): string {
	return pem.endsWith("\n") ? pem : `${pem}\n`;
}
