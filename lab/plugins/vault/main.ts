import { serve } from "../../../host/protocol.ts";
import { configure, types } from "./vault.ts";

await serve({ version: "7.8.0", types, configure });
