import { serve } from "./protocol.ts";

const version = "0.2.0";
await serve(version, async () => {
	const [{ FileSet }, { packageSchema }] = await Promise.all([import("./fileSet.ts"), import("./packageSchema.ts")]);
	return { types: { "host:index:FileSet": FileSet }, schema: () => packageSchema(version) };
});
