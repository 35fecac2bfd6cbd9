/**
 * The scripts that change a resolver, by the programs of each release that is supported. systemd's commands have
 * stand-ins, which note what they are asked for: nothing on a bare sshd is started by systemd.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { envFile, shellScript, table } from "../../../host/shell.ts";
import { type Machine, startMachine } from "./machine.ts";

const FOLDER = "/srv/scripts";
const BACKUPS = "/srv/backups";
const PLAIN = "/srv/etc/resolv.conf";
const LINK = "/srv/etc/a link";
const NEW = "/srv/etc/new.conf";
const components = new URL("../../../components/dnsResolver/files.ts", import.meta.url).href;

let machine: Machine;
beforeAll(async () => {
	machine = await startMachine();
	for (const name of [
		"resolver.sh",
		"activate.sh",
		"arm.sh",
		"commit.sh",
		"revert.sh",
		"rollback.sh",
		"name-servers.sh",
	])
		await write(`${FOLDER}/${name}`, shellScript(components, name));
	for (const name of ["systemctl", "systemd-run"])
		await write(`/srv/bin/${name}`, `#!/bin/sh\necho "${name} $*" >>/srv/asked\n`);
	await write("/var/lib/pulumi-host/fileset.sh", FILESET);
	await machine.run("chmod 755 /srv/bin/*");
});
afterAll(() => machine[Symbol.asyncDispose]());

/** Stands in for FileSet's, which has tests of its own: notes what it is asked for, and knows one revision. */
const FILESET = `echo "fileset $*" >>/srv/asked
case $1 in
generations) printf 'r1\\t-\\n' ;;
revisions) echo dns=r1 ;;
esac
`;

const write = (path: string, content: string) =>
	machine.run(`mkdir -p "$(dirname '${path}')" && cat >'${path}'`, content);
/** Runs a script with systemd's stand-ins; resolves with what it printed and, where it failed, its status. */
const run = (command: string) => machine.run(`PATH=/srv/bin:$PATH; (${command}) 2>&1 || echo status $?`);
const arm = () => run(`staged() { printf %s "$1"; }; revision=r1; set -- ${FOLDER}; . ${FOLDER}/arm.sh`);
const asked = () => machine.run("cat /srv/asked");

const values = {
	...{ FILE_SET: "dns", KIND: "file", PRIMARY: "192.0.2.1", FALLBACK: "192.0.2.2", LINK: "", NAME_SERVERS: "" },
	...{ INTERNAL: "localhost", EXTERNAL: "localhost", FAILBACK_UNIT: "x", REVERT_SECONDS: 60, BACKUPS, KEPT_BACKUPS: 2 },
	FILES: table([PLAIN, LINK, NEW].map((path) => ["whole", path])),
	CONTAINERS: "",
};

beforeEach(async () => {
	await machine.run(`rm -rf /srv/etc ${BACKUPS} /srv/asked /run/dns-resolver; : >/srv/asked`);
	await write(`${FOLDER}/resolver.env`, envFile(values));
	await write(PLAIN, "nameserver 192.0.2.1\n");
	await machine.run(`chmod 640 ${PLAIN} && ln -s ../somewhere '${LINK}'`);
});

it("a change is armed with a copy of what is there, a timer, and no more copies than are kept", async () => {
	await machine.run(
		`mkdir ${BACKUPS}; cd ${BACKUPS}; for d in 01 02 03; do : >dns-config-backup-202601$\{d}T000000Z.tar.gz; done`,
	);
	expect(await arm()).toBe("");
	const kept = (await machine.run(`ls ${BACKUPS}`)).split("\n");
	expect(kept).toEqual([
		"dns-config-backup-20260103T000000Z.tar.gz",
		expect.stringMatching(/^dns-config-backup-\d{8}T\d{6}Z\.tar\.gz$/),
	]);
	const inside = await machine.run(`tar -tvzf ${BACKUPS}/${kept[1]}`);
	expect(inside).toMatch(/^-rw-r----- root\/root .* srv\/etc\/resolv\.conf$/m);
	expect(inside).toMatch(/ srv\/etc\/a link -> \.\.\/somewhere$/m);
	expect(await asked()).toMatch(
		/^systemd-run .*--unit=dns-revert --on-active=60 .*\/run\/dns-resolver\/revert\.sh r1$/m,
	);
});

it("rollback puts back content, mode and link, and takes away what there was not", async () => {
	await arm();
	await machine.run(
		`rm '${LINK}'; echo changed >'${LINK}'; echo changed >${PLAIN}; chmod 600 ${PLAIN}; echo new >${NEW}`,
	);
	expect(await run(`sh ${FOLDER}/rollback.sh`)).toMatch(/^put back dns-config-backup-\S+\.tar\.gz$/);
	expect(await machine.run(`stat -c '%a %F' ${PLAIN} && cat ${PLAIN} && readlink '${LINK}' && ls /srv/etc`)).toBe(
		"640 regular file\nnameserver 192.0.2.1\n../somewhere\na link\nresolv.conf",
	);
	const wrong = await run(`sh ${FOLDER}/rollback.sh another`);
	expect(wrong).toMatch(/^there is no backup another; there are: dns-config-backup-\S+\.tar\.gz\s+status 1$/);
});

describe("commit", () => {
	it("stops the timer and settles where every name resolves", async () => {
		await arm();
		expect(await run(`sh ${FOLDER}/commit.sh r1`)).toBe("");
		expect(await asked()).toMatch(/systemctl stop dns-revert\.timer\n(.|\n)*fileset settle dns dns=r1$/);
	});

	it("names the one that does not resolve, and takes the change back", async () => {
		await write(`${FOLDER}/resolver.env`, envFile({ ...values, EXTERNAL: "name.invalid" }));
		await arm();
		expect(await run(`sh ${FOLDER}/commit.sh r1`)).toBe(
			"name.invalid does not resolve with the settings as they are now\nthe former settings are back\nstatus 1",
		);
		expect(await asked()).toContain("fileset undo dns r1");
		expect(await asked()).not.toContain("settle");
	});
});

it("the name servers of one interface are told from those of one whose name begins alike", async () => {
	const shown = (what: string) =>
		`case $1 in dns) printf '%s\\n' 'Global:' 'Link 2 (eth0): 192.0.2.1 192.0.2.2' 'Link 3 (eth0.5): 192.0.2.9' 'Link 4 (docker0):' ;; domain) echo 'Global: ${what}'; echo 'Link 2 (eth0): lan' ;; esac\n`;
	await write("/srv/bin/resolvectl", `#!/bin/sh\n${shown("~.")}`);
	await machine.run("chmod 755 /srv/bin/resolvectl");
	expect(await run(`sh ${FOLDER}/name-servers.sh eth0`)).toBe(
		"Global:\neth0: 192.0.2.1 192.0.2.2\nGlobal: ~.\neth0: lan",
	);
});
