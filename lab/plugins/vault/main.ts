import { serve } from "../../../host/protocol.ts";

await serve("7.8.0", () => import("./vault.ts"));
