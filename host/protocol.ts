/**
 * The resource-provider protocol, as far as a provider written here needs it.
 *
 * The SDK's own server (`@pulumi/pulumi/provider`) has neither previews nor detailed diffs, which are
 * what make a drifted line and a planned restart visible, so the generated protocol is served directly
 * (docs/adr/0003). The engine keeps track of secrets itself: we tell it that we don't accept
 * them, it hands over plain values and marks what we return wherever the input was secret.
 */
import { flushCompileCache } from "node:module";
import { isDeepStrictEqual } from "node:util";
import * as grpc from "@grpc/grpc-js";
import enginerpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineproto from "@pulumi/pulumi/proto/engine_pb.js";
import pluginproto from "@pulumi/pulumi/proto/plugin_pb.js";
import providerrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import proto from "@pulumi/pulumi/proto/provider_pb.js";
import emptyproto from "google-protobuf/google/protobuf/empty_pb.js";
import structproto from "google-protobuf/google/protobuf/struct_pb.js";

/** What the protocol puts in place of a value that is only known after the update. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Marks an object in the protocol that stands for something else, such as a secret. */
export const SIGNATURE = "4dabf18193072939515e22adb298388d";

export type Properties = Record<string, unknown>;

/** How one property differs; the key in `Diff` is its path, for example `files["/etc/motd"].content`. */
export type PropertyChange = "add" | "delete" | "update" | "add-replace" | "delete-replace" | "update-replace";
export type Diff = Record<string, PropertyChange>;

export interface Context {
	urn: string;
	/** True in `pulumi preview`: nothing may be touched, and what is not known yet is `UNKNOWN`. */
	preview: boolean;
	/** Shows a line under the resource in the terminal. */
	log(severity: "info" | "warning", message: string): void;
}

/** One resource type. Every method may throw an `Error`, whose message is shown to the user as it is. */
export interface ResourceType {
	/** Returns the inputs with their defaults filled in, and what is wrong with them, by property. */
	check(inputs: Properties): { inputs: Properties; failures: Record<string, string> };
	/** Compares the state with new inputs; an empty result means that nothing has to be done. */
	diff(state: Properties, inputs: Properties): Diff;
	/** Whether a resource that has to be replaced is deleted before the new one is made; without it, after. */
	deletesFirst?(state: Properties, inputs: Properties): boolean;
	create(inputs: Properties, context: Context): Promise<{ id: string; state: Properties }>;
	/** Returns what is really there, or undefined where the resource is gone. Without it, the state is believed. */
	read?(
		id: string,
		state: Properties,
		context: Context,
	): Promise<{ state: Properties; inputs: Properties } | undefined>;
	update(id: string, state: Properties, inputs: Properties, context: Context): Promise<Properties>;
	delete(id: string, state: Properties, context: Context): Promise<void>;
}

export interface Plugin {
	/** By type token, for example `host:index:FileSet`. */
	types: Record<string, ResourceType>;
	/** Takes the provider's own inputs, before any resource is asked for. */
	configure?(inputs: Properties): void;
	/** The package schema that it publishes, as an object; none without it. */
	schema?(): object;
}

/**
 * Serves the plugin of that version to the engine that started this process, until that engine is gone. It is loaded once
 * the engine has its answer: the engine starts one plugin after the other, and waits for each.
 */
export async function serve(version: string, load: () => Promise<Plugin>): Promise<void> {
	const engineAddress = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
	if (engineAddress === undefined) {
		throw new Error("this is a Pulumi plugin: the engine starts it, with its address as the argument");
	}
	const unlimited = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
	const engine = new enginerpc.EngineClient(engineAddress, grpc.credentials.createInsecure(), unlimited);
	const server = new grpc.Server(unlimited);
	let loaded: Promise<Plugin> | undefined;
	const plugin = () => {
		loaded ??= load();
		return loaded;
	};
	server.addService(
		providerrpc.ResourceProviderService,
		new Service(version, plugin, engine) as unknown as grpc.UntypedServiceImplementation,
	);
	const port = await new Promise<number>((resolve, reject) =>
		server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
			error ? reject(error) : resolve(bound),
		),
	);
	process.stdout.write(`${port}\n`);
	exitWithParent();
	await plugin();
	// The engine kills its plugins, and Node.js would keep what it has compiled only at a regular end.
	flushCompileCache();
}

/** A killed engine can't end its plugins, and an orphan must not go on changing hosts. */
function exitWithParent(): void {
	const parent = process.ppid;
	setInterval(() => {
		if (process.ppid !== parent) process.exit(1);
	}, 500).unref();
}

type Call<Request> = { request: Request };
type Callback<Response> = (error: grpc.ServiceError | null, response?: Response) => void;

class Service {
	// gRPC calls the handlers without `this`, and asks for them by name as own or inherited properties.
	constructor(version: string, plugin: () => Promise<Plugin>, engine: InstanceType<typeof enginerpc.EngineClient>) {
		const typeOf = async (urn: string): Promise<ResourceType> => {
			const token = urn.split("::")[2]?.split("$").at(-1) ?? "";
			const type = (await plugin()).types[token];
			if (type === undefined) throw new Error(`this plugin has no resource type ${token}`);
			return type;
		};
		const context = (urn: string, preview = false): Context => ({
			urn,
			preview,
			log: (severity, message) => {
				const request = new engineproto.LogRequest();
				request.setUrn(urn);
				request.setMessage(message);
				request.setSeverity(severity === "info" ? engineproto.LogSeverity.INFO : engineproto.LogSeverity.WARNING);
				engine.log(request, () => {}); // An engine that has gone away has no use for the line.
			},
		});

		const handlers = {
			getPluginInfo: unary((_: unknown) => new pluginproto.PluginInfo().setVersion(version)),
			getSchema: unary(async (_: unknown) => {
				const { schema } = await plugin();
				return new proto.GetSchemaResponse().setSchema(JSON.stringify(schema?.() ?? {}));
			}),
			attach: unary((_: unknown) => new emptyproto.Empty()),
			cancel: unary((_: unknown) => new emptyproto.Empty()),
			checkConfig: unary((request: InstanceType<typeof proto.CheckRequest>) =>
				new proto.CheckResponse().setInputs(request.getNews()),
			),
			diffConfig: unary((request: InstanceType<typeof proto.DiffRequest>) => {
				const same = isDeepStrictEqual(properties(request.getOlds()), properties(request.getNews()));
				const { DIFF_NONE, DIFF_SOME } = proto.DiffResponse.DiffChanges;
				return new proto.DiffResponse().setChanges(same ? DIFF_NONE : DIFF_SOME);
			}),
			configure: unary(async (request: InstanceType<typeof proto.ConfigureRequest>) => {
				const entries = Object.entries(properties(request.getArgs()));
				(await plugin()).configure?.(Object.fromEntries(entries.map(([key, value]) => [key, plain(value)])));
				return new proto.ConfigureResponse().setSupportspreview(true);
			}),
			check: unary(async (request: InstanceType<typeof proto.CheckRequest>) => {
				const { inputs, failures } = (await typeOf(request.getUrn())).check(properties(request.getNews()));
				return new proto.CheckResponse()
					.setInputs(struct(inputs))
					.setFailuresList(
						Object.entries(failures).map(([property, reason]) =>
							new proto.CheckFailure().setProperty(property).setReason(reason),
						),
					);
			}),
			diff: unary(async (request: InstanceType<typeof proto.DiffRequest>) => {
				const type = await typeOf(request.getUrn());
				const [state, inputs] = [properties(request.getOlds()), properties(request.getNews())];
				const response = diffResponse(type.diff(state, inputs));
				return response.setDeletebeforereplace(type.deletesFirst?.(state, inputs) ?? false);
			}),
			create: unary(async (request: InstanceType<typeof proto.CreateRequest>) => {
				const urn = request.getUrn();
				const { id, state } = await (await typeOf(urn)).create(
					properties(request.getProperties()),
					context(urn, request.getPreview()),
				);
				return new proto.CreateResponse().setId(id).setProperties(struct(state));
			}),
			read: unary(async (request: InstanceType<typeof proto.ReadRequest>) => {
				const urn = request.getUrn();
				const type = await typeOf(urn);
				const response = new proto.ReadResponse();
				if (type.read === undefined) {
					return response.setId(request.getId()).setProperties(request.getProperties()).setInputs(request.getInputs());
				}
				const live = await type.read(request.getId(), properties(request.getProperties()), context(urn));
				if (live === undefined) return response;
				return response.setId(request.getId()).setProperties(struct(live.state)).setInputs(struct(live.inputs));
			}),
			update: unary(async (request: InstanceType<typeof proto.UpdateRequest>) => {
				const urn = request.getUrn();
				const state = await (await typeOf(urn)).update(
					request.getId(),
					properties(request.getOlds()),
					properties(request.getNews()),
					context(urn, request.getPreview()),
				);
				return new proto.UpdateResponse().setProperties(struct(state));
			}),
			delete: unary(async (request: InstanceType<typeof proto.DeleteRequest>) => {
				const urn = request.getUrn();
				await (await typeOf(urn)).delete(request.getId(), properties(request.getProperties()), context(urn));
				return new emptyproto.Empty();
			}),
		};
		Object.assign(this, handlers);
	}
}

function unary<Request, Response>(handle: (request: Request) => Response | Promise<Response>) {
	return (call: Call<Request>, callback: Callback<Response>): void => {
		Promise.resolve()
			.then(() => handle(call.request))
			.then(
				(response) => callback(null, response),
				(error: unknown) => {
					const details = error instanceof Error ? error.message : String(error);
					callback({
						name: "Error",
						message: details,
						details,
						code: grpc.status.UNKNOWN,
						metadata: new grpc.Metadata(),
					});
				},
			);
	};
}

function properties(value: InstanceType<typeof structproto.Struct> | undefined): Properties {
	return value === undefined ? {} : (value.toJavaScript() as Properties);
}

/** What the engine knows of secrets it only learns from the answer to this first call, whose own come wrapped. */
function plain(value: unknown): unknown {
	const isSecret = typeof value === "object" && value !== null && SIGNATURE in value;
	return isSecret ? (value as { value?: unknown }).value : value;
}

function struct(value: Properties): InstanceType<typeof structproto.Struct> {
	// Through JSON, because `undefined` has no place in a Struct.
	return structproto.Struct.fromJavaScript(JSON.parse(JSON.stringify(value)));
}

function diffResponse(diff: Diff): InstanceType<typeof proto.DiffResponse> {
	const kinds = {
		add: proto.PropertyDiff.Kind.ADD,
		delete: proto.PropertyDiff.Kind.DELETE,
		update: proto.PropertyDiff.Kind.UPDATE,
		"add-replace": proto.PropertyDiff.Kind.ADD_REPLACE,
		"delete-replace": proto.PropertyDiff.Kind.DELETE_REPLACE,
		"update-replace": proto.PropertyDiff.Kind.UPDATE_REPLACE,
	};
	const { DIFF_NONE, DIFF_SOME } = proto.DiffResponse.DiffChanges;
	const response = new proto.DiffResponse();
	response.setHasdetaileddiff(true);
	response.setChanges(Object.keys(diff).length === 0 ? DIFF_NONE : DIFF_SOME);
	const top = (path: string) => path.split(/[.[]/, 1)[0] as string;
	response.setDiffsList([...new Set(Object.keys(diff).map(top))]);
	response.setReplacesList([
		...new Set(
			Object.keys(diff)
				.filter((path) => diff[path]?.endsWith("-replace"))
				.map(top),
		),
	]);
	for (const [path, change] of Object.entries(diff)) {
		response.getDetaileddiffMap().set(path, new proto.PropertyDiff().setKind(kinds[change]));
	}
	return response;
}
