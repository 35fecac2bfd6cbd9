/** Servers that keep Pulumi's state, as this estate's people would run them: an S3-compatible one and a PostgreSQL. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, type Options, type ResultPromise } from "execa";
import { debianProgram } from "../../lab/debianProgram.ts";
import { freePort } from "../../lab/freePort.ts";
import { listens } from "../../lab/listens.ts";
import { Step, until } from "../../lab/run.ts";
import { builtPath, provide, type Tool } from "../../lab/tools.ts";

export interface StateServer extends AsyncDisposable {
	/** What Pulumi needs in order to keep a state there; the URL is in PULUMI_BACKEND_URL. */
	env: Record<string, string>;
	/** Cuts all its connections, and takes none until it is started again. */
	stop(): Promise<void>;
	start(): Promise<void>;
}

const VERSITYGW: Tool = { name: "versitygw", binary: "versitygw", inside: true };
const BUCKET = "pulumi";
/** PostgreSQL refuses to be root's: in a namespace, root is nobody to itself, and still reads its own folders. */
const asNobody = process.getuid?.() === 0 ? ["unshare", "--user", "--map-user=65534", "--map-group=65534"] : ["env"];

/** versitygw, whose buckets are folders. */
async function s3(): Promise<StateServer> {
	await provide(VERSITYGW, () => {});
	const program = await builtPath(VERSITYGW);
	const folder = await mkdtemp(join(tmpdir(), "state-s3-"));
	await mkdir(join(folder, "files", BUCKET), { recursive: true });
	await mkdir(join(folder, "attributes"));
	const port = await freePort();
	const [key, secret] = ["state", "state-secret"];
	const query = `region=us-east-1&endpoint=127.0.0.1:${port}&disableSSL=true&s3ForcePathStyle=true`;
	// Attributes in files of their own: not every folder for temporary files can have extended ones.
	const args = ["--port", `127.0.0.1:${port}`, "posix", "--sidecar", join(folder, "attributes"), join(folder, "files")];
	const env = { ROOT_ACCESS_KEY: key, ROOT_SECRET_KEY: secret };
	return serve({ program, args, options: { env }, port, folder }, "SIGTERM", {
		PULUMI_BACKEND_URL: `s3://${BUCKET}?${query}`,
		AWS_ACCESS_KEY_ID: key,
		AWS_SECRET_ACCESS_KEY: secret,
	});
}

/** PostgreSQL 15, as Debian 12 has it. */
async function postgres(): Promise<StateServer> {
	const libraries = ["libicu72", "libldap-2.5-0", "libsasl2-2", "libxml2", "libpq5"];
	const path = "/usr/lib/postgresql/15/bin/postgres";
	const program = await debianProgram(new Step("postgres"), path, ["postgresql-15", ...libraries]);
	const folder = await mkdtemp(join(tmpdir(), "state-postgres-"));
	const data = join(folder, "data");
	const options = { cwd: folder, env: { LC_ALL: "C", LD_LIBRARY_PATH: program.libraries } };
	const [wrapper, ...wrapping] = asNobody as [string];
	const initialise = ["-D", data, "-U", "pulumi", "--auth", "trust", "--no-sync"];
	await execa(wrapper, [...wrapping, join(program.path, "../initdb"), ...initialise], options);
	const port = await freePort();
	const args = [...wrapping, program.path, "-D", data, "-h", "127.0.0.1", "-p", String(port), "-k", folder];
	return serve({ program: wrapper, args, options, port, folder }, "SIGINT", {
		PULUMI_BACKEND_URL: `postgres://pulumi@127.0.0.1:${port}/postgres?sslmode=disable`,
	});
}

/** Each kind that the state is tried with. */
export const stateServers = [
	{ name: "a bucket of an S3-compatible server", open: s3 },
	{ name: "a PostgreSQL database", open: postgres },
];

interface Server {
	program: string;
	args: string[];
	options: Options;
	port: number;
	/** Removed with it. */
	folder: string;
}

async function serve(
	{ program, args, options, port, folder }: Server,
	signal: NodeJS.Signals,
	env: Record<string, string>,
): Promise<StateServer> {
	let child: ResultPromise<Options> | undefined;
	const server: StateServer = {
		env,
		async start() {
			child = execa(program, args, { ...options, reject: false, stdin: "ignore", all: true });
			await until(`${program} listens on ${port}`, 30, () => listens(port));
		},
		async stop() {
			child?.kill(signal);
			await child;
		},
		async [Symbol.asyncDispose]() {
			await server.stop();
			await rm(folder, { recursive: true });
		},
	};
	await server.start();
	return server;
}
