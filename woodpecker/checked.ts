/** The check that both types have. */
import type { z } from "zod";
import type { Properties } from "../host/protocol.ts";

/** The inputs with their defaults, and what is wrong with them, by property. */
export function checked(schema: z.ZodType<Properties>, inputs: Properties) {
	const result = schema.safeParse(inputs);
	const failures = (result.error?.issues ?? []).map(({ path, message }) => [path.join("."), message] as const);
	return { inputs: result.data ?? inputs, failures: Object.fromEntries(failures) };
}
