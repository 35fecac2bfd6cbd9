/** What is handed to a script on a host is a value, whatever is in it: never executed, never split. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { envFile } from "../../../host/shell.ts";
import { type Machine, startMachine } from "./machine.ts";

const HOSTILE = `$(touch /srv/executed) \`touch /srv/executed\` ; touch /srv/executed # a b '$(touch /srv/executed)' "$(touch /srv/executed)" '; touch /srv/executed; ' \\ -x * /e;e touch /srv/executed`;
/** Programs that a script may call, which only write down their arguments. */
const stubs =
	"apt-get cp curl dig docker flock getent install iptables logrotate mv netplan networkctl node nsenter resolvectl ssh sync systemctl systemd-analyze systemd-run tar timeout touch unshare".split(
		" ",
	);

let machine: Machine;
beforeAll(async () => {
	machine = await startMachine();
	const stub = `#!/bin/sh\nfor argument in "$0" "$@"; do printf '%s\\0' "$argument" >>/srv/calls; done\n`;
	await machine.run(
		"mkdir /srv/stubs /srv/scripts /srv/scripts/tls /var/lib/pulumi-host && cat >/srv/stubs/stub",
		stub,
	);
	await machine.run(`cd /srv/stubs && chmod 755 stub && for name in ${stubs.join(" ")}; do ln stub "$name"; done`);
	// The stub for touch would hide what is looked for; so whatever is executed leaves this instead.
	await machine.run("rm /srv/stubs/touch");
	await machine.run("printf '#!/bin/sh\\n' >/var/lib/pulumi-host/fileset.sh");
});
afterAll(() => machine[Symbol.asyncDispose]());

async function run(script: string, args: string[], env?: { name: string; values: Record<string, string> }) {
	await machine.run("rm -f /srv/calls /srv/executed; : >/srv/calls");
	const folder = /^(.*)\/[^/]+$/.exec(script)?.[1];
	await machine.run('rm -rf /srv/scripts && cp -r "$(cat)" /srv/scripts', `${process.cwd()}/${folder}`);
	if (env) await machine.run(`cat >/srv/scripts/${env.name}`, envFile(env.values));
	await machine.run("cat >/srv/arguments", args.map((argument) => `'${argument.replaceAll("'", `'\\''`)}'`).join(" "));
	const name = script.split("/").at(-1);
	// As FileSet sources a check, with staged() of its own; as a command otherwise.
	const call = readFileSync(script, "utf8").startsWith("#!")
		? `timeout 20 sh /srv/scripts/${name} "$@"`
		: `. /srv/scripts/${name}`;
	await machine.run(
		`real=$(command -v timeout); PATH=/srv/stubs:$PATH; staged() { printf '%s' "$1"; }; revision=1; work=/srv
eval "set -- $(cat /srv/arguments)"
(${call.replace("timeout", '"$real"')}) </dev/null >/srv/said 2>&1 || true`,
	);
	expect(await machine.run("ls /srv/executed 2>/dev/null || true"), script).toBe("");
	return (await machine.run("cat /srv/calls")).split("\0");
}

const D = "components/dnsResolver/sh";
const R = "components/registryVm/sh";

describe("arguments", () => {
	it.each([
		[`${D}/check-netplan.sh`, [HOSTILE, HOSTILE, HOSTILE], true],
		[`${D}/failback-state.sh`, [HOSTILE], true],
		[`${D}/has-no-manager.sh`, [], false],
		[`${D}/is-managed-link.sh`, [HOSTILE], true],
		[`${D}/is-own-file.sh`, [HOSTILE], false],
		[`${D}/is-resolveds-link.sh`, [HOSTILE], false],
		[`${D}/name-servers.sh`, [HOSTILE], false],
		[`${R}/check-nginx.sh`, [HOSTILE, HOSTILE], true],
		[`${R}/check-ports.sh`, ["/srv/scripts", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE], false],
		[`${R}/check-registries.sh`, [HOSTILE, HOSTILE, HOSTILE, HOSTILE, `${HOSTILE}\t${HOSTILE}`], true],
		[`${R}/check-unit.sh`, [HOSTILE], false],
		[`${R}/containers.sh`, [HOSTILE, HOSTILE, HOSTILE], false],
		[`${R}/is-own-network.sh`, [HOSTILE, HOSTILE], true],
		[`${R}/leftovers.sh`, ["list", HOSTILE, HOSTILE], true],
		[`${R}/leftovers.sh`, ["remove", HOSTILE, HOSTILE, HOSTILE, HOSTILE], true],
		[`${R}/install.sh`, ["", HOSTILE, HOSTILE], true],
		[`${R}/unit-state.sh`, [HOSTILE], true],
	])("of %s", async (script, args, reaches) => {
		const calls = await run(script, args);
		// In one piece, whatever stands around it in the argument.
		if (reaches)
			expect(
				calls.some((argument) => argument.includes(HOSTILE)),
				calls.join(" | "),
			).toBe(true);
	});
});

describe("env files", () => {
	const resolver = {
		name: "resolver.env",
		values: Object.fromEntries(
			"FILE_SET KIND PRIMARY FALLBACK INTERNAL EXTERNAL LINK NAME_SERVERS FAILBACK_UNIT REVERT_SECONDS BACKUPS KEPT_BACKUPS FILES CONTAINERS"
				.split(" ")
				.map((key) => [key, HOSTILE]),
		),
	};
	const resolved = { ...resolver, values: { ...resolver.values, KIND: "resolved", KEPT_BACKUPS: "1" } };
	const bounce = {
		name: "bounce.env",
		values: Object.fromEntries(
			"FILE_SET UNIT PROJECT NETWORK IDENTITY_HEADER CONTAINERS".split(" ").map((key) => [key, HOSTILE]),
		),
	};
	const upkeep = {
		name: "upkeep.env",
		values: { PRIVATE: HOSTILE, CACHES: HOSTILE, MAX_SIZES: HOSTILE, REGISTRIES: HOSTILE },
	};
	Object.assign(bounce.values, { REGISTRIES: `${HOSTILE}\t${HOSTILE}\t${HOSTILE}` });

	it.each([
		[`${D}/activate.sh`, [], resolved],
		[`${D}/arm.sh`, ["/srv/scripts"], resolved],
		[`${D}/ask-by.sh`, [HOSTILE, HOSTILE], resolver],
		[`${D}/commit.sh`, [HOSTILE], resolver],
		[`${D}/failover.sh`, [], resolver],
		[
			`${D}/refresh-containers.sh`,
			[],
			{ ...resolver, values: { ...resolver.values, CONTAINERS: `${HOSTILE}\t${HOSTILE}\t${HOSTILE}` } },
		],
		[`${D}/revert.sh`, [HOSTILE], resolver],
		[`${D}/rollback.sh`, [HOSTILE], resolver],
		...["try-compose", "try-nginx", "try-verify", "systemd", "down", "compose", "as-found", HOSTILE].map(
			(action): [string, string[], typeof bounce] => [`${R}/bounce.sh`, [action, HOSTILE], bounce],
		),
		...["fix-broken-blobs", "cleanup-tags", "garbage-collect", "repair"].map(
			(command): [string, string[], typeof upkeep] => [`${R}/upkeep.sh`, [command, HOSTILE], upkeep],
		),
	])("of %s %j", async (script, args, env) => {
		await run(script, args, env);
	});
});
