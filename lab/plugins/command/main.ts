import { serve } from "../../../host/protocol.ts";
import { Command } from "./command.ts";

await serve({ version: "1.2.1", types: { "command:remote:Command": Command } });
