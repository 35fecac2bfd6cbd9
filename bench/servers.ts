/** What is asked: registry 2.8.3 with TLS and a password, behind a way that takes its time. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import bcrypt from "bcryptjs";
import { stringify } from "yaml";
import { goEnvironment } from "../components/registryVm/compose.ts";
import { freePort } from "../lab/freePort.ts";
import { listens } from "../lab/listens.ts";
import { paths } from "../lab/paths.ts";
import { until } from "../lab/run.ts";
import { builtPath, type Tool, tools } from "../lab/tools.ts";
import type { Meter } from "./compare.ts";
import { processor } from "./processes.ts";

export const USER = "bench";
export const PASSWORD = "a-password-of-more-than-20-characters";

export interface Server extends Meter, Disposable {
	port: number;
}

/** The registry, without a cache of its own. `cost` is bcrypt's; undefined is without a password. */
export async function registry(folder: string, cost: number | undefined): Promise<Server> {
	const port = await freePort();
	// Several have one storage, each its own files.
	const files = join(folder, String(port));
	mkdirSync(files);
	const htpasswd = join(files, "htpasswd");
	if (cost !== undefined) writeFileSync(htpasswd, `${USER}:${bcrypt.hashSync(PASSWORD, cost)}\n`);
	const [certificate, key] = ["registry.pem", "registry.key"].map((name) => join(paths.keys, name));
	const log = join(files, "access.log");
	const config = join(files, "config.yml");
	const auth = { htpasswd: { realm: "Registry Realm", path: htpasswd } };
	writeFileSync(
		config,
		stringify({
			version: "0.1",
			log: { accesslog: { disabled: false }, level: "error" },
			storage: { filesystem: { rootdirectory: folder, maxthreads: 100 }, delete: { enabled: true } },
			http: {
				...{ addr: `127.0.0.1:${port}`, tls: { certificate, key }, headers: { "X-Registry-Name": ["private"] } },
			},
			...(cost !== undefined && { auth }),
		}),
	);
	const binary = await builtPath(tools.find(({ name }) => name === "registry") as Tool);
	writeFileSync(log, "");
	const child = spawn("sh", ["-c", `exec "$0" serve "$1" >>"$2" 2>&1`, binary, config, log], {
		stdio: "ignore",
		env: { ...process.env, ...goEnvironment },
	});
	await until("the registry answers", 30, () => listens(port));
	return {
		port,
		requests: () => readFileSync(log, "utf8").split("HTTP/").length - 1,
		processor: () => processor(child.pid as number),
		[Symbol.dispose]: () => void child.kill(),
	};
}

/** A way to the port on which each packet is under way for that long, in milliseconds, there and back together. */
export async function slowly(port: number, latency: number): Promise<{ port: number } & Disposable> {
	const late = (from: Socket, to: Socket) => {
		from.on("data", (chunk) => setTimeout(() => to.writable && to.write(chunk), latency / 2));
		from.once("close", () => setTimeout(() => to.destroy(), latency / 2));
		from.on("error", () => to.destroy());
	};
	const server = createServer({ noDelay: true }, (client) => {
		const upstream = connect({ port, host: "127.0.0.1", noDelay: true });
		late(client, upstream);
		late(upstream, client);
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => void server.close() };
}

/** Takes whatever is pushed, and has nothing of before. */
export async function pushgateway(): Promise<{ url: string } & Disposable> {
	const server = createHttpServer((request, response) =>
		request.resume().once("end", () => response.end(request.method === "GET" ? JSON.stringify({ data: [] }) : "")),
	);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() };
}
