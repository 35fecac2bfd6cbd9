/**
 * A stand-in for `command:remote:Command` of the published plugin 1.2.1, for a lab that can't have that one.
 * It follows the published documentation; test/lab/commandPlugin.test.ts says what that means, for both.
 * Left out, and refused: `environment` and `connection.proxy`, which this program does not use.
 */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { isDeepStrictEqual } from "node:util";
import ssh2 from "ssh2";
import { type Context, type Diff, type ResourceType, UNKNOWN } from "../../../host/protocol.ts";

interface Connection {
	host: string;
	port?: number;
	user?: string;
	password?: string;
	privateKey?: string;
	privateKeyPassword?: string;
	agentSocketPath?: string;
	hostKey?: string;
	dialErrorLimit?: number;
	perDialTimeout?: number;
}

interface Inputs {
	connection: Connection;
	create?: string;
	update?: string;
	delete?: string;
	stdin?: string;
	triggers?: unknown[];
	logging?: "stdout" | "stderr" | "stdoutAndStderr" | "none";
	addPreviousOutputInEnv?: boolean;
}

interface State extends Inputs {
	stdout: string;
	stderr: string;
}

const KEYS = [
	"connection",
	"create",
	"update",
	"delete",
	"stdin",
	"triggers",
	"logging",
	"addPreviousOutputInEnv",
] as const;

export const Command: ResourceType = {
	check(inputs) {
		const { connection } = inputs as unknown as Inputs;
		const failures: Record<string, string> = {};
		if (connection === undefined) failures["connection"] = "is required";
		for (const key of Object.keys(inputs)) {
			if (!(KEYS as readonly string[]).includes(key))
				failures[key] = "is not known to the lab's stand-in for the command plugin";
		}
		if (typeof connection === "object" && "proxy" in connection) {
			failures["connection.proxy"] = "is not known to the lab's stand-in for the command plugin";
		}
		return { inputs, failures };
	},

	diff(state, inputs) {
		const diff: Diff = {};
		for (const key of KEYS) {
			if (isDeepStrictEqual(state[key], inputs[key])) continue;
			const change = state[key] === undefined ? "add" : inputs[key] === undefined ? "delete" : "update";
			diff[key] = key === "triggers" ? `${change}-replace` : change;
		}
		return diff;
	},

	async create(inputs, context) {
		const wanted = inputs as unknown as Inputs;
		const id = `${context.urn.split("::").at(-1)}${randomBytes(4).toString("hex")}`;
		if (context.preview) return { id, state: { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN } };
		const outputs =
			wanted.create === undefined ? { stdout: "", stderr: "" } : await run(wanted, wanted.create, {}, context);
		return { id, state: { ...inputs, ...outputs } };
	},

	async update(_id, state, inputs, context) {
		const [old, wanted] = [state as unknown as State, inputs as unknown as Inputs];
		if (context.preview) return { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN };
		const command = wanted.update ?? wanted.create;
		const outputs =
			command === undefined
				? { stdout: old.stdout, stderr: old.stderr }
				: await run(wanted, command, previous(old, wanted), context);
		return { ...inputs, ...outputs };
	},

	async delete(_id, state, context) {
		const old = state as unknown as State;
		if (old.delete !== undefined) await run(old, old.delete, previous(old, old), context);
	},
};

function previous(old: State, wanted: Inputs): Record<string, string> {
	if (wanted.addPreviousOutputInEnv === false) return {};
	return {
		...(old.stdout && { PULUMI_COMMAND_STDOUT: old.stdout }),
		...(old.stderr && { PULUMI_COMMAND_STDERR: old.stderr }),
	};
}

async function run(
	inputs: Inputs,
	command: string,
	env: Record<string, string>,
	context: Context,
): Promise<Pick<State, "stdout" | "stderr">> {
	const logging = inputs.logging ?? "stdoutAndStderr";
	const client = await dial(inputs.connection, context);
	try {
		return await new Promise((resolve, reject) => {
			const lost = () =>
				reject(new Error(`wait: remote command exited without exit status or exit signal: running "${command}"`));
			client.once("close", lost);
			client.exec(command, { env }, (error, channel) => {
				if (error) return reject(error);
				const said = { stdout: "", stderr: "", both: "" };
				const listen = (stream: NodeJS.ReadableStream, name: "stdout" | "stderr") => {
					let rest = "";
					stream.setEncoding("utf8");
					stream.on("data", (chunk: string) => {
						said[name] += chunk;
						said.both += chunk;
						const lines = (rest + chunk).split("\n");
						rest = lines.pop() as string;
						if (logging === name || logging === "stdoutAndStderr") for (const line of lines) context.log("info", line);
					});
				};
				listen(channel, "stdout");
				listen(channel.stderr, "stderr");
				let ended: string | undefined;
				channel.on("exit", (code: number | null, signal?: string) => {
					ended =
						code === null
							? `Process exited with status 128 from signal ${signal}`
							: `Process exited with status ${code}`;
				});
				channel.on("error", () => {}); // A broken pipe: the command ended without reading its input.
				channel.on("close", () => {
					client.off("close", lost);
					if (ended === undefined) return lost();
					if (ended !== "Process exited with status 0")
						return reject(new Error(`${ended}: running ${JSON.stringify(command)}:\n${said.both}`));
					resolve({ stdout: said.stdout.replace(/\n$/, ""), stderr: said.stderr.replace(/\n$/, "") });
				});
				channel.end(inputs.stdin ?? "");
			});
		});
	} finally {
		client.end();
	}
}

/** Tries again as often as `dialErrorLimit` says, as the published plugin does, ever more slowly. */
async function dial(connection: Connection, context: Context): Promise<ssh2.Client> {
	const limit = connection.dialErrorLimit ?? 10;
	for (let attempt = 1, delay = 100; ; attempt++, delay = Math.min(delay * 1.5, 5000)) {
		try {
			return await dialOnce(connection);
		} catch (error) {
			if (limit >= 0 && attempt > limit)
				throw new Error(`after ${attempt - 1} failed attempts: ${(error as Error).message}`);
			context.log("info", `Dial ${attempt}/${limit < 0 ? "inf" : limit} failed: retrying`);
			await new Promise((resolve) => setTimeout(resolve, delay));
		}
	}
}

/** The published plugin gives up where an agent is named and does not answer, whatever other key there is. */
function reachAgent(path: string | undefined): Promise<void> {
	if (path === undefined) return Promise.resolve();
	return new Promise((resolve, reject) => {
		const socket = connect(path);
		socket.once("connect", () => resolve(void socket.destroy()));
		socket.once("error", (error) => reject(new Error(`dial unix ${path}: connect: ${error.message}`)));
	});
}

async function dialOnce(connection: Connection): Promise<ssh2.Client> {
	const { host, hostKey } = connection;
	const agent = connection.agentSocketPath ?? (process.env["SSH_AUTH_SOCK"] || undefined);
	const parsed = hostKey === undefined ? undefined : ssh2.utils.parseKey(hostKey);
	if (parsed instanceof Error) throw new Error(`failed to parse host key: ${parsed.message}`);
	const key = Array.isArray(parsed) ? parsed[0] : parsed;
	const pinned = key?.getPublicSSH();
	await reachAgent(agent);
	return new Promise((resolve, reject) => {
		const client = new ssh2.Client();
		let mismatch = false;
		client.once("ready", () => resolve(client));
		client.on("error", (error) => {
			const unlike = error.message.includes("no matching host key");
			reject(
				new Error(
					mismatch
						? "ssh: handshake failed: ssh: host key mismatch"
						: unlike
							? `ssh: handshake failed: ssh: no common algorithm for host key; client offered: [${key?.type}]`
							: `dial tcp ${host}:${connection.port ?? 22}: ${error.message}`,
				),
			);
		});
		client.connect({
			host,
			port: connection.port ?? 22,
			username: connection.user ?? "root",
			password: connection.password,
			privateKey: connection.privateKey,
			passphrase: connection.privateKeyPassword,
			agent,
			// The type of the pinned key and no other name of it: an RSA key has two that hosts still speak.
			...(key && { algorithms: { serverHostKey: [key.type as ssh2.ServerHostKeyAlgorithm] } }),
			readyTimeout: (connection.perDialTimeout ?? 15) * 1000,
			keepaliveInterval: 15_000, // A host that went away without a word; Go's dialer looks as often.
			hostVerifier: (key: Buffer) => {
				mismatch = pinned !== undefined && !key.equals(pinned);
				return !mismatch;
			},
		});
	});
}
