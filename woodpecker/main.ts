import { serve } from "../host/protocol.ts";

await serve("0.2.0", async () => {
	const [{ Cron }, { Secret }] = await Promise.all([import("./cron.ts"), import("./secret.ts")]);
	return { types: { "woodpecker:index:Secret": Secret, "woodpecker:index:Cron": Cron } };
});
