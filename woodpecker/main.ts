import { serve } from "../host/protocol.ts";
import { Cron } from "./cron.ts";
import { Secret } from "./secret.ts";

await serve({ version: "0.2.0", types: { "woodpecker:index:Secret": Secret, "woodpecker:index:Cron": Cron } });
