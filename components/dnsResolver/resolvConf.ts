/** The resolver of a host with a plain /etc/resolv.conf that nothing else manages. */
import { managedFile } from "../../host/managedFile.ts";
import { shellScript } from "../../host/shell.ts";
import type { DnsRole } from "./args.ts";
import { GROUP, type Resolver } from "./resolver.ts";

const FILE = "/etc/resolv.conf";

export function resolvConf({ search, primary, fallback, timeout = 2, attempts = 2 }: DnsRole): Resolver {
	const text = `search ${search}
nameserver ${primary}
nameserver ${fallback}
options timeout:${timeout} attempts:${attempts}
`;
	const effect = "new lookups read it; nothing is restarted, and the change is taken back if names no longer resolve";
	return {
		kind: "file",
		files: { [FILE]: managedFile(text, effect, { notify: [GROUP] }) },
		// Somebody else who writes the file would win, sooner or later.
		preconditions: [
			{
				script: shellScript(import.meta.url, "is-own-file.sh"),
				args: [FILE],
				problem: `${FILE} is not a file of its own`,
				advice: "let what it links to be managed instead, or replace the link by a file first",
			},
			{
				script: shellScript(import.meta.url, "has-no-manager.sh"),
				problem: `something else manages ${FILE}`,
				advice: 'take it away there, or declare the host\'s resolver as what it is: with "netplan"',
			},
		],
		checks: [],
		conditions: {},
		link: "",
		nameServers: "",
	};
}
