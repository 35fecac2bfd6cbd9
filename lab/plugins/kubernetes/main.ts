import { serve } from "../../../host/protocol.ts";

await serve("4.34.2", () => import("./kubernetes.ts"));
