/** Something is wrong that a person can mend; the message is all that they need, and no stack trace is shown with it. */
export class ExpectedError extends Error {
	/** Pulumi's own mark for that. Its class is not taken, because the commands and the plugin do without the SDK. */
	readonly __pulumiRunError = true;
}
