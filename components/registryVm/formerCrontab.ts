/**
 * Lines of root's crontab that ran the upkeep of an estate before this program did. They would go on: the collection
 * with -m deletes the children of every index (docs/traps.md), and the scripts are shell now, and no longer Python.
 */
import type { ManagedLines } from "../../host/fileSetSchema.ts";

/** Where cron keeps what `crontab -e` edits. */
export const ROOT_CRONTAB = "/var/spool/cron/crontabs/root";

const TIME = String.raw`^\s*(@\w+|(\S+\s+){4}\S+)\s+`;

export const formerLines: ManagedLines = {
	present: [],
	absent: [
		{
			pattern: String.raw`${TIME}(\S*/)?docker\s+exec\s+(-\S+\s+)*registry[\w.:-]*\s+(\S*/)?registry\s+garbage-collect\s`,
		},
		{ pattern: String.raw`${TIME}(\S*/)?python[\d.]*\s+/opt/registry/(cleanup-tags|fix-broken-blobs)\.sh(\s|$)` },
	],
	notify: [],
	effect: "what ran the upkeep before no longer runs: its collection with -m destroyed images",
};
