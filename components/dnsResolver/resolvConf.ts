/** The resolver of a host with a plain /etc/resolv.conf that nothing else manages. */
import type { DnsHost } from "../../config.ts";
import { managedFile } from "../../host/managedFile.ts";
import type { Resolver } from "./resolver.ts";

const FILE = "/etc/resolv.conf";

export function resolvConf({ search, primary, fallback, timeout = 2, attempts = 2 }: DnsHost): Resolver {
	const text = `search ${search}
nameserver ${primary}
nameserver ${fallback}
options timeout:${timeout} attempts:${attempts}
`;
	const reaction = "new lookups read it; nothing is restarted, and the change is taken back if names no longer resolve";
	return {
		files: { [FILE]: managedFile(text, reaction, { notify: ["dns"] }) },
		// Somebody else who writes the file would win, sooner or later.
		preconditions: [
			{
				run: `[ ! -L ${FILE} ] || { echo "it is a link to $(readlink ${FILE})"; exit 1; }`,
				problem: `${FILE} is not a file of its own`,
				advice: "let what it links to be managed instead, or replace the link by a file first",
			},
			{
				run: `for unit in systemd-resolved NetworkManager connman; do
	! systemctl --quiet is-active "$unit" || { echo "$unit runs"; exit 1; }
done
! command -v resolvconf || { echo "resolvconf is installed"; exit 1; }`,
				problem: `something else manages ${FILE}`,
				advice: 'take it away there, or declare the host\'s resolver as what it is: with "netplan"',
			},
		],
		checks: [],
		conditions: {},
		activate: ":",
		forget: ":",
	};
}
