/** How one kind of host resolves names. */
import type { Check, Condition, Precondition } from "../../host/fileSetSchema.ts";
import type { RenderedFiles } from "../../host/managedFile.ts";

export interface Resolver {
	/** `file` where /etc/resolv.conf is a plain file, `resolved` where systemd-resolved resolves. */
	kind: "file" | "resolved";
	/** The files that decide how names are resolved. */
	files: RenderedFiles;
	preconditions: Precondition[];
	checks: Check[];
	conditions: Record<string, Condition>;
	/** The interface whose servers are set; empty where there is none. */
	link: string;
	/** What name-servers.sh prints once the settings are live; empty where nothing has to be waited for. */
	nameServers: string;
}

/** The group that reacts to a change of a resolver: its change is committed or taken back. */
export const GROUP = "dns";

export const FAILBACK_UNIT = "dns-failback.service";
