/** The key `driftDetection` of the config. */
import { z } from "zod";

const accepted = z.strictObject({
	resource: z.string().min(1).describe("The resource's name, as the report has it."),
	path: z
		.string()
		.min(1)
		.optional()
		.describe("What of it may differ: how the report's path begins. All of it by default."),
	reason: z.string().min(1).describe("Why that is so, a sentence."),
	until: z
		.string()
		// Pulumi takes a date without quotes for a time, and writes it back as one.
		.regex(/^\d{4}-\d\d-\d\d([T ]00:00:00\b.*)?$/, "is not a date like 2027-01-31")
		.transform((text) => text.slice(0, 10))
		.describe("The last day on which that is so, a date."),
});

export const driftDetectionConfig = z.strictObject({
	pushgateway: z
		.url({ protocol: /^https?$/, error: "is not a URL with http or https" })
		.optional()
		.describe("The URL of the Pushgateway, as the drift run reaches it. monitoring.pushgateway by default."),
	prometheus: z
		.url({ protocol: /^https?$/, error: "is not a URL with http or https" })
		.optional()
		.describe(
			"The URL of the Prometheus that is asked since when a stack has drifted, where the Pushgateway lost that.",
		),
	branch: z
		.string()
		.regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, "is not the name of a branch")
		.optional()
		.describe("The branch of the remote origin that the checkout has to be at. Not compared by default."),
	accepted: z.array(accepted).default([]).describe("Differences that are known and accepted for a time."),
});

export type DriftDetectionConfig = z.output<typeof driftDetectionConfig>;

/** A difference that is known and accepted for a time. */
export type Accepted = z.output<typeof accepted>;
