/** Hosts whose owner has other habits: login shells, what they print, forced commands, users that are not root. */
import { afterEach, describe, expect, it } from "vitest";
import { FileSet } from "../../../host/fileSet.ts";
import { disconnect } from "../../../host/ssh.ts";
import { debianProgram } from "../../../lab/debianProgram.ts";
import { Step } from "../../../lab/run.ts";
import { type Machine, type MachineOptions, startMachine } from "./machine.ts";

const FILE = "/srv/odd/it's $HOME";
const context = { urn: "", preview: false, log: () => {} };
let machine: Machine | undefined;
afterEach(async () => {
	await disconnect();
	await machine?.[Symbol.asyncDispose]();
	machine = undefined;
});

const start = async (options: MachineOptions) => {
	machine = await startMachine(options);
	return machine;
};
const inputs = ({ connection }: Machine, more: object = {}) => ({
	name: "odd",
	connection: { ...connection, ...more },
	preconditions: [],
	checks: [],
	beforeActivation: [],
	conditions: {},
	lines: {},
	files: {
		[FILE]: { content: "a\\b!c\n", mode: "0640", owner: "root:root", notify: [], effect: "nobody is restarted" },
	},
});
/** Creates, reads and compares. */
async function works(host: Machine) {
	const declared = inputs(host);
	const { state } = await FileSet.create(declared, context);
	expect(await host.run(`cat "/srv/odd/it's \\$HOME"; stat -c %a /srv/odd/*`)).toBe("a\\b!c\n640");
	const live = await FileSet.read?.("odd", state, context);
	expect(FileSet.diff(live?.state ?? {}, declared)).toEqual({});
}

describe("root's login shell", () => {
	it.each([
		["csh", "/bin/bsd-csh", ["csh", "libbsd0", "libmd0"]],
		["fish", "/usr/bin/fish", ["fish", "libpcre2-32-0"]],
		["zsh", "/bin/zsh", ["zsh"]],
	])("may be %s", async (name, path, packages) => {
		const { path: shell, libraries } = await debianProgram(new Step(name), path, packages);
		await works(await start({ shell, libraries }));
	});

	it("may be one that prints something first", async () => {
		await works(await start({ shell: "/bin/bash", bashrc: "echo Welcome; printf 'no newline'\n" }));
	});

	it("may have an umask of its own", async () => {
		await works(await start({ shell: "/bin/bash", bashrc: "umask 077\n" }));
	});
});

describe("a login that can't manage files", () => {
	const refusal = async (host: Machine, more: object = {}) =>
		FileSet.create(inputs(host, more), context).then(
			() => "nothing",
			({ message }: Error) => message,
		);

	it("because a forced command answers in its place is refused with what that says", async () => {
		const says = 'Please login as the user "debian" rather than the user "root".';
		const host = await start({ keyOptions: `command="echo '${says.replaceAll('"', '\\"')}'; exit 142"` });
		expect(await refusal(host)).toBe(
			`host 127.0.0.1 was not changed: the login of root does not run commands (status 142); it says: ${says}`,
		);
	});

	it("because its user is not root is refused in one sentence, and nothing is changed", async () => {
		const host = await start({ plainUser: "keeper" });
		expect(await refusal(host, { user: "keeper" })).toBe(
			"host 127.0.0.1 was not changed: keeper is not root, and only root can manage these files; log in as root",
		);
		expect(await host.run("ls /srv")).toBe("home");
	});
});
