import tar from "tar-stream";

export interface TarEntry {
	name: string;
	/** Permission bits. */
	mode: number;
	content: string | Buffer;
}

/** A tar of these files, owned by root. */
export async function tarball(entries: TarEntry[]): Promise<Buffer> {
	const pack = tar.pack();
	for (const { name, mode, content } of entries) pack.entry({ name, mode, mtime: new Date(0) }, content);
	pack.finalize();
	const chunks: Buffer[] = [];
	for await (const chunk of pack) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
}
