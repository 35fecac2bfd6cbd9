import { FileSet } from "./fileSet.ts";
import { serve } from "./protocol.ts";

await serve({ version: "0.1.0", types: { "host:index:FileSet": FileSet } });
