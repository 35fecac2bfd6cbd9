import { serve } from "../../../host/protocol.ts";

await serve("1.2.1", async () => {
	const { Command } = await import("./command.ts");
	return { types: { "command:remote:Command": Command } };
});
