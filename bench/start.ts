/** How long a Pulumi program takes until its first resource: its process is given an engine that takes that one, and no more. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import enginerpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineproto from "@pulumi/pulumi/proto/engine_pb.js";
import resourcerpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import proto from "@pulumi/pulumi/proto/resource_pb.js";
import emptyproto from "google-protobuf/google/protobuf/empty_pb.js";

type Call = { request: InstanceType<typeof proto.RegisterResourceRequest> };
type Answer = (error: null, response: unknown) => void;

/**
 * From the start of Node.js until the program in that folder registers a resource, the stack itself not counted, in
 * seconds. `config` is the stack's, by key with the project's name before it. Throws where the program ends before that.
 */
export async function untilFirstResource(
	folder: string,
	project: string,
	config: Record<string, string>,
	env: Record<string, string>,
): Promise<number> {
	const server = new grpc.Server();
	const first = new Promise<void>((resolve) => {
		const answer = (response: object) => (_: unknown, callback: Answer) => callback(null, response);
		const monitor = {
			supportsFeature: (_: unknown, callback: Answer) =>
				callback(null, new proto.SupportsFeatureResponse().setHassupport(true)),
			registerResource: ({ request }: Call, callback: Answer) => {
				const type = request.getType();
				if (type !== "pulumi:pulumi:Stack") return resolve();
				const urn = `urn:pulumi:bench::${project}::${type}::${request.getName()}`;
				callback(null, new proto.RegisterResourceResponse().setUrn(urn).setObject(request.getObject()));
			},
			registerResourceOutputs: answer(new emptyproto.Empty()),
			signalAndWaitForShutdown: answer(new emptyproto.Empty()),
		};
		const engine = {
			log: answer(new emptyproto.Empty()),
			getRootResource: answer(new engineproto.GetRootResourceResponse()),
			setRootResource: answer(new engineproto.SetRootResourceResponse()),
		};
		server.addService(resourcerpc.ResourceMonitorService, monitor as unknown as grpc.UntypedServiceImplementation);
		server.addService(enginerpc.EngineService, engine as unknown as grpc.UntypedServiceImplementation);
	});
	const port = await new Promise<number>((resolve, reject) =>
		server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
			error ? reject(error) : resolve(bound),
		),
	);
	const address = `127.0.0.1:${port}`;
	const options = ["--monitor", address, "--engine", address, "--project", project, "--stack", "bench"];
	const run = join(folder, "node_modules", "@pulumi", "pulumi", "cmd", "run", "index.js");
	const start = performance.now();
	const child = spawn(process.execPath, [run, ...options, "--pwd", folder, "--dry-run", "--parallel", "16", "."], {
		env: { ...process.env, ...env, PULUMI_CONFIG: JSON.stringify(config) },
		stdio: ["ignore", "ignore", "pipe"],
	});
	let said = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		said += text;
	});
	const ended = once(child, "close");
	try {
		await Promise.race([
			first,
			ended.then(([code]) => {
				throw new Error(`the program in ${folder} ended with ${code} before its first resource: ${said}`);
			}),
		]);
		return (performance.now() - start) / 1000;
	} finally {
		child.kill("SIGKILL");
		await ended;
		server.forceShutdown();
	}
}
