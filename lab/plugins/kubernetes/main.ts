import { serve } from "../../../host/protocol.ts";
import { configure, types } from "./kubernetes.ts";

await serve({ version: "4.34.2", types, configure });
