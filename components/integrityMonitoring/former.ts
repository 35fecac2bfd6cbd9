/** What monitored the registry before this program did, and is still there. */
import * as pulumi from "@pulumi/pulumi";
import type { RuleGroup } from "../alertRules.ts";
import { loadedFrom } from "../loadedRules.ts";
import { hasGroupOfJobAlone } from "../pushgateway.ts";
import { PROBE } from "./names.ts";

/** Where the metrics and the alerts are looked at, as whoever runs the preview reaches them. */
export interface Servers {
	/** A URL. Not looked at by default. */
	prometheus?: string | undefined;
	/** A URL. Not looked at by default. */
	pushgateway?: string | undefined;
}

/**
 * Says which alerts of the same names as these Prometheus has from elsewhere, and whether the Pushgateway has metrics of an older
 * probe, and what becomes of them. Never fails: what could not be looked at is said, too.
 */
export async function reportFormer({ prometheus, pushgateway }: Servers, alerts: RuleGroup[]): Promise<void> {
	const names = alerts.flatMap(({ rules }) => rules.map(({ alert }) => alert));
	const look = async (report: () => Promise<void>) =>
		report().catch((error: Error) =>
			pulumi.log.warn(`what monitored the registry before can't be told: ${error.message}`),
		);
	if (prometheus)
		await look(async () => {
			for (const [file, found] of await loadedFrom(prometheus, names))
				await pulumi.log.warn(
					`Prometheus has ${found.join(", ")} from ${file} already: with the rules of this project, people are told of one thing twice. Take them out of there (where Terraform wrote them, out of Terraform)`,
				);
		});
	if (pushgateway)
		await look(async () => {
			if (await hasGroupOfJobAlone(pushgateway, PROBE))
				await pulumi.log.info(
					`the Pushgateway has metrics of the job ${PROBE} without an instance, from an older probe: the first run of the new one removes them`,
				);
		});
}
