/** What both kinds of host do while their primary DNS server is bad, in all the ways it can be, and afterwards. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dns, LABEL, names, network, PREFIX, publicDns } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import { begin, docker, env, type Outcome, onVm, run } from "./lab.ts";

/** A server of another mind at the primary's address. */
const DOUBLE = `${PREFIX}-dns-double`;

beforeAll(async () => {
	await restore();
	await begin();
});
afterAll(() => restore());

async function restore() {
	await docker("rm", "--force", DOUBLE).catch(() => {}); // Where there is none.
	const paused = (await docker("inspect", "--format", "{{.State.Paused}}", dns.container)).stdout === "true";
	if (paused) await docker("unpause", dns.container);
	await docker("start", dns.container);
}

async function replaceBy(...command: string[]) {
	const { stdout: image } = await docker("inspect", "--format", "{{.Config.Image}}", dns.container);
	await docker("stop", "--time", "1", dns.container);
	const where = ["--network", network.name, "--ip", dns.address];
	await docker("run", "--rm", "--detach", "--name", DOUBLE, "--label", LABEL, ...where, image, ...command);
}

/** A real server, told to answer badly. */
const unbound = (settings: string) => {
	const config = `server:\n  interface: 0.0.0.0\n  username: ""\n  chroot: ""\n  module-config: iterator\n${settings}`;
	return replaceBy("sh", "-c", `printf '%s' '${config}' >/tmp/unbound.conf && exec unbound -d -p -c /tmp/unbound.conf`);
};

/** The same server behind a network that takes six seconds: longer than any resolver waits. */
async function slow() {
	const command = JSON.parse((await docker("inspect", "--format", "{{json .Config.Cmd}}", dns.container)).stdout);
	const relay = `const { createSocket } = require("node:dgram");
const front = createSocket("udp4").bind(53);
front.on("message", (question, { address, port }) => setTimeout(() => {
	const back = createSocket("udp4");
	back.on("message", (answer) => { front.send(answer, port, address); back.close(); });
	back.send(question, 5353, "127.0.0.1");
}, 6000));`;
	await replaceBy("sh", "-c", '"$@" --port=5353 & exec node --eval "$0"', relay, ...command);
	const patiently = `dig +time=15 +tries=1 +short @${dns.address} ${names.internal.name} || true`; // It may not listen yet.
	await until("it answers whoever waits", 60, async () => (await onVm(patiently)) === names.internal.address);
}

const modes: [what: string, make: () => Promise<unknown>][] = [
	["silent", () => docker("pause", dns.container)],
	["gone, host and all", () => docker("stop", "--time", "1", dns.container)],
	["a host where nobody listens", () => replaceBy("sleep", "infinity")],
	["refusing", () => unbound("  access-control: 0.0.0.0/0 refuse\n")],
	[
		"answering SERVFAIL",
		() => unbound(`  access-control: 0.0.0.0/0 allow\nforward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@9\n`),
	],
	["slow", slow],
];

interface Lookup {
	address: string;
	/** On the host, in milliseconds. */
	ms: number;
}

/** By glibc, timed on the host itself. */
async function lookUp(host: string, name: string): Promise<Lookup> {
	const script = `b=$(date +%s%3N); a=$(timeout 60 getent ahostsv4 ${name} | head -n 1 | cut -d ' ' -f 1); echo "$a $(($(date +%s%3N) - b))"`;
	const { stdout, output }: Outcome = await run("ssh", ["-F", env("LAB_SSH_CONFIG"), host, script]);
	const [, address = "", ms] = /^(\S*) (\d+)$/.exec(stdout) ?? [];
	if (ms === undefined) throw new Error(output);
	return { address, ms: Number(ms) };
}

describe.each(modes)("with a primary that is %s", (_, make) => {
	beforeAll(async () => {
		await onVm("systemctl restart systemd-resolved"); // Nothing remembered, and the primary is the one in use.
		await make();
	});
	afterAll(async () => {
		await restore();
		await until(
			"internal names are back on the VM",
			60,
			async () => (await lookUp("registry", names.internal.name)).address !== "",
		);
	});

	it("glibc finds an external name within one timeout, every time, and gives an internal one up", async () => {
		for (const _attempt of [1, 2]) {
			const { address, ms } = await lookUp("pve", names.external.name);
			expect(address).toBe(names.external.address);
			expect(ms).toBeLessThan(2000 + 1000);
		}
		const internal = await lookUp("pve", names.internal.name);
		expect(internal.address).toBe("");
		expect(internal.ms).toBeLessThan(2 * 2000 + 1000); // As it is, and with the search domain.
	});

	it("resolved finds an external name within ten seconds, then at once, and gives an internal one up at once", async () => {
		const first = await lookUp("registry", names.external.name);
		expect(first.address).toBe(names.external.address);
		expect(first.ms).toBeLessThan(10_000);
		await onVm("resolvectl flush-caches");
		const next = await lookUp("registry", names.external.name);
		expect(next.address).toBe(names.external.address);
		expect(next.ms).toBeLessThan(100);
		const internal = await lookUp("registry", names.internal.name);
		expect(internal.address).toBe("");
		expect(internal.ms).toBeLessThan(1000);
	});

	it("internal names are back within a minute of its return, on both", async () => {
		await restore();
		for (const host of ["pve", "registry"]) {
			await until(`${host} resolves an internal name`, 60, async () => {
				return (await lookUp(host, names.internal.name)).address === names.internal.address;
			});
		}
	});
});

it("the public server's word on an internal name is not kept", async () => {
	await onVm("systemctl restart systemd-resolved");
	await docker("pause", dns.container);
	try {
		await lookUp("registry", names.external.name);
		await onVm("resolvectl flush-caches");
		expect((await lookUp("registry", names.internal.name)).address).toBe("");
		expect(await onVm("resolvectl statistics")).toMatch(/Current Cache Size: 0\n/);
		expect(await onVm(`dig @${publicDns.address} ${names.internal.name}`)).toMatch(
			/NXDOMAIN[\s\S]*\b86400\b[\s\S]*SOA/,
		);
	} finally {
		await docker("unpause", dns.container);
	}
});
