/** The `woodpecker` plugin's resource types, as a Pulumi program declares them. */
import * as pulumi from "@pulumi/pulumi";
import type { CronInputs } from "./cron.ts";
import type { SecretInputs } from "./secret.ts";

type Inputs<T> = { [Key in keyof T]: pulumi.Input<T[Key]> };

/** A secret of a repository; each property is described in secret.ts. */
export class Secret extends pulumi.CustomResource {
	constructor(name: string, args: Inputs<SecretInputs>, options?: pulumi.CustomResourceOptions) {
		super("woodpecker:index:Secret", name, { ...args, value: pulumi.secret(args.value) }, options);
	}
}

/** A schedule of a repository; each property is described in cron.ts. */
export class Cron extends pulumi.CustomResource {
	constructor(name: string, args: Inputs<CronInputs>, options?: pulumi.CustomResourceOptions) {
		super("woodpecker:index:Cron", name, { ...args }, options);
	}
}
