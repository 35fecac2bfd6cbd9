import { FileSet } from "./fileSet.ts";
import { packageSchema } from "./packageSchema.ts";
import { serve } from "./protocol.ts";

const version = "0.2.0";
await serve({ version, types: { "host:index:FileSet": FileSet }, schema: () => packageSchema(version) });
