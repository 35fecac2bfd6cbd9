/** How one kind of host resolves names. */

import type { ManagedFiles } from "../../host/managedFile.ts";
import type { Check } from "../registryVm/checks.ts";
import type { Condition } from "../registryVm/conditions.ts";
import type { Precondition } from "../registryVm/preconditions.ts";

export interface Resolver {
	files: ManagedFiles;
	preconditions: Precondition[];
	checks: Check[];
	conditions: Record<string, Condition>;
	/** A shell script that makes what the files say live. */
	activate: string;
	/** A shell script that forgets the answers that the host remembers. */
	forget: string;
}

/** In shell: `ask_by FILE NAME [COMMAND ...]` looks a name up as glibc would with FILE as resolv.conf, within COMMAND. */
export const askBy = `ask_by() {
	file=$1 name=$2
	shift 2
	"$@" unshare --mount sh -c 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && exec getent -s dns ahostsv4 "$2"' sh "$file" "$name"
}`;
