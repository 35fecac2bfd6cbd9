/** Images pushed to the lab's private registry, and where their pieces are on the VM's disk. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { until } from "../../lab/run.ts";
import { writeMultiArchLayout } from "./image.ts";
import { env, loggedIn, type Outcome, onVm, run } from "./lab.ts";

/** What the private registry has stored, on the VM. */
export const STORE = "/opt/registry/data/private/docker/registry/v2";

export interface Pushed extends AsyncDisposable {
	/** For the clients' own files. */
	folder: string;
	/** The repository's full name, for clients. */
	image: string;
	/** Lets crane and regctl log in. */
	client: { env: Record<string, string> };
	crane(...args: string[]): Promise<Outcome>;
	/** Pushes a multi-arch index, of its own kind unless a text is given; resolves with its digest. */
	push(tag: string, text?: string): Promise<string>;
	/** As crane, reading everything, finds it. */
	isWhole(tag: string): Promise<boolean>;
	manifest(reference: string): Promise<Manifest>;
	/** The digests of an index's children. */
	children(tag: string): Promise<string[]>;
	/** The folder with the link of a manifest or a layer. */
	link(kind: "_manifests/revisions" | "_layers", digest: string): string;
	/** The folder with the content. */
	blob(digest: string): string;
	/** Waits until the private registry is back. */
	answers(): Promise<void>;
}

interface Manifest {
	manifests: { digest: string }[];
	config: { digest: string; size: number };
	layers: [{ digest: string; size: number }];
}

export async function pushed(repository: string): Promise<Pushed> {
	const folder = await mkdtemp(join(tmpdir(), "pushed-test-"));
	const client = await loggedIn(folder);
	const image = `${env("LAB_REGISTRY")}/${repository}`;
	const crane = (...args: string[]) => run("crane", args, client);
	const hex = (digest: string) => digest.replace("sha256:", "");
	const manifest = async (reference: string) => JSON.parse((await crane("manifest", reference)).stdout) as Manifest;
	return {
		folder,
		image,
		client,
		crane,
		manifest,
		async push(tag, text = `${tag} ${Date.now()}`) {
			const layout = join(folder, `layout-${tag}`);
			await rm(layout, { recursive: true, force: true });
			const digest = await writeMultiArchLayout(layout, text);
			const { exitCode, output } = await crane("push", layout, `${image}:${tag}`);
			expect(exitCode, output).toBe(0);
			return digest;
		},
		isWhole: async (tag) => (await crane("validate", "--remote", `${image}:${tag}`)).exitCode === 0,
		children: async (tag) => (await manifest(`${image}:${tag}`)).manifests.map(({ digest }) => digest),
		link: (kind, digest) => `${STORE}/repositories/${repository}/${kind}/sha256/${hex(digest)}`,
		blob: (digest) => `${STORE}/blobs/sha256/${hex(digest).slice(0, 2)}/${hex(digest)}`,
		answers: async () => {
			await until(
				"the private registry answers",
				60,
				async () => (await crane("catalog", env("LAB_REGISTRY"))).exitCode === 0,
			);
		},
		[Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
	};
}

/** An empty store in the private registry: what some tests do to it also breaks what others have pushed. */
export const wipe = () => onVm(`rm -rf ${STORE}; docker start registry-private >/dev/null`);
