/** systemd-resolved and netplan, the registry VM's: written, seen, put back, and never left without names. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { caches, dns, NET, names, PREFIX, publicDns, registryVm, STACK } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import {
	askVm,
	begin,
	checkout,
	containers,
	docker,
	drift,
	hostConfig,
	leave,
	onVm,
	restarted,
	run,
	up,
	type Variant,
	variant,
} from "./lab.ts";

const NETPLAN = "/etc/netplan/50-cloud-init.yaml";
const DROP_IN = "/etc/systemd/resolved.conf.d/10-internal-dns.conf";
const both = `${dns.address} ${publicDns.address}`;

let changed: Variant;
beforeAll(async () => {
	await begin();
	changed = await variant();
});
afterEach(() => changed.reset());
afterAll(async () => {
	await changed[Symbol.asyncDispose]();
	await leave();
});

/** Changes what is declared of the VM in the copy's config. */
const declare = (values: Record<string, unknown>) =>
	changed.configure((config) => Object.assign(hostConfig(config, registryVm.hostname).dns, values));
const script = (...args: string[]) => run("node", ["scripts/dns.ts", "--stack", STACK, ...args], { cwd: checkout });
const resolves = async (name: string) => (await askVm(`getent ahostsv4 ${name}`)).stdout.split(" ")[0];
/** What resolved works with, globally and on the interface. */
const live = () => onVm("resolvectl dns | sed -n -e 's/^Global: //p' -e 's/^Link .*eth0.: //p'");
const everything = () => onVm(`cat ${NETPLAN} ${DROP_IN}; stat -c '%a %n' ${NETPLAN} ${DROP_IN}; resolvectl dns eth0`);
/** The same in a cache's container, by its own servers; each server is asked once, for so many seconds. */
const resolvesInside = async (cache: string, name: string, seconds = 5) => {
	const command = `set -- $(docker inspect --format '{{.State.Pid}} {{.ResolvConfPath}}' registry-${cache})
RES_OPTIONS='timeout:${seconds} attempts:1' nsenter --target "$1" --net unshare --mount sh -c 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && getent -s dns ahostsv4 ${name}' sh "$2"`;
	return (await askVm(command)).stdout.split(" ")[0];
};

describe("resolved and netplan", () => {
	it("have the declared servers, and both kinds of name resolve, on the VM and in every cache", async () => {
		expect(await live()).toBe(`${both}\n${both}`);
		expect(await resolves(names.internal.name)).toBe(names.internal.address);
		expect(await resolves("docker-registry")).toBe(names.internal.address); // By the search domain.
		expect(await resolves(names.external.name)).toBe(names.external.address);
		for (const { name } of caches) {
			expect(await resolvesInside(name, names.internal.name)).toBe(names.internal.address);
			expect(await resolvesInside(name, names.external.name)).toBe(names.external.address);
		}
	});

	it("keep everything else that cloud-init wrote", async () => {
		const file = (
			servers: string[],
			search: string,
		) => `# This file is generated from information provided by the datasource.  Changes
# to it will not persist across an instance reboot.
network:
    version: 2
    renderer: networkd
    ethernets:
        eth0:
            addresses:
            - ${registryVm.address}/24
            nameservers:
                addresses:
${servers.map((server) => `                - ${server}\n`).join("")}                search: [${search}]
            routes:
            -   to: default
                via: ${NET}.1
`;
		await askVm(`cat >${NETPLAN}`, { input: file([dns.address], "") });
		await up();
		expect(`${await onVm(`cat ${NETPLAN}`)}\n`).toBe(file([dns.address, publicDns.address], "viktorbarzin.lan"));
		expect(await onVm(`stat -c '%a %U' ${NETPLAN}`)).toBe("600 root");
	});

	// Those that don't hide each other at once.
	it.each([
		[
			"a line of the drop-in, other name servers in netplan's file, and the failback stopped",
			[
				`sed -i s/^Domains=.*/Domains=other.lan/ ${DROP_IN}`,
				`sed -i 's/${publicDns.address}/${NET}.99/' ${NETPLAN} && netplan generate && networkctl reload`,
				"systemctl disable --now dns-failback",
			],
			[/Domains=other\.lan/, /172\.30\.7[78]\.99/, /failback not as declared|inactive/],
		],
		[
			"the drop-in deleted, and no name servers in netplan's file",
			[`rm ${DROP_IN}`, `sed -i '/nameservers:/,/search/d' ${NETPLAN}`],
			[/10-internal-dns\.conf/, /50-cloud-init\.yaml/],
		],
	])("%s: seen, and put back", async (_, commands, shown) => {
		await onVm(commands.join(" && "));
		const seen = await drift();
		for (const what of shown) expect(seen.output).toMatch(what);
		expect(seen.exitCode).not.toBe(0);
		await up();
		expect(await live()).toBe(`${both}\n${both}`);
		expect(await resolves(names.internal.name)).toBe(names.internal.address);
		expect(await onVm("systemctl is-active dns-failback; systemctl is-enabled dns-failback")).toBe("active\nenabled");
	});

	it("need nothing once they were put back", async () => {
		expect((await drift()).exitCode).toBe(0);
	});

	it("leave what others add to the file as it is: that is no drift", async () => {
		const before = await onVm(`cat ${NETPLAN}`);
		await onVm(`sed -i 's/^        eth0:/        eth0: # the only one\\n            optional: true/' ${NETPLAN}`);
		try {
			expect((await drift()).exitCode).toBe(0);
			await onVm(`sed -i 's/${publicDns.address}/${NET}.99/' ${NETPLAN} && grep -q ${NET}.99 ${NETPLAN}`);
			await up();
			expect(await onVm(`grep -A1 'the only one' ${NETPLAN}; grep -c ${NET}.99 ${NETPLAN} || true`)).toBe(
				"        eth0: # the only one\n            optional: true\n0",
			);
		} finally {
			await run("ssh", ["-F", process.env["LAB_SSH_CONFIG"] as string, "registry", `cat >${NETPLAN}`], {
				input: `${before}\n`,
			});
		}
	});

	it.each([
		[
			"servers that another netplan file adds",
			`printf 'network: {ethernets: {eth0: {nameservers: {addresses: [${NET}.98]}}}}\\n' >/etc/netplan/60-other.yaml && chmod 600 /etc/netplan/60-other.yaml`,
			/makes other name servers of it[\s\S]*the name servers of eth0 are .*172\.30\.7[78]\.98/,
			"rm /etc/netplan/60-other.yaml",
		],
		[
			"a file that is no YAML",
			`cp -p ${NETPLAN} /root/netplan.kept && echo 'x: [' >>${NETPLAN}`,
			/50-cloud-init\.yaml: it is not YAML/,
			`mv /root/netplan.kept ${NETPLAN}`,
		],
		[
			"an interface that is not there",
			`cp -p ${NETPLAN} /root/netplan.kept && sed -i s/eth0:/ens3:/ ${NETPLAN}`,
			/50-cloud-init\.yaml: it has no network\.ethernets\.eth0/,
			`mv /root/netplan.kept ${NETPLAN}`,
		],
		[
			"a resolv.conf that is not resolved's",
			"cp --remove-destination /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
			/\/etc\/resolv\.conf is not a link to systemd-resolved's/,
			"ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
		],
	])("%s: refused before anything is changed", async (_, make, message, undo) => {
		await onVm(make);
		try {
			const before = await everything();
			await declare({ fallback: `${NET}.97` });
			const { exitCode, output } = await changed.up();
			expect(output).toMatch(message);
			expect(output).toContain("was not changed");
			expect(exitCode).not.toBe(0);
			expect(await everything()).toBe(before);
		} finally {
			await onVm(undo);
		}
	});

	it("say so, and are taken back, where somebody else's setting wins", async () => {
		await onVm(`printf '[Resolve]\\nDNS=\\nDNS=${NET}.96\\n' >/etc/systemd/resolved.conf.d/50-other.conf`);
		try {
			const before = await onVm(`cat ${NETPLAN} ${DROP_IN}`);
			await declare({ fallback: `${NET}.97` });
			const { exitCode, output } = await changed.up();
			expect(output).toMatch(
				/systemd-resolved has other name servers than declared: Global: 172\.30\.7[78]\.96.*use-dns: false/,
			);
			expect(output).toContain("the former settings are back");
			expect(exitCode).not.toBe(0);
			expect(await onVm(`cat ${NETPLAN} ${DROP_IN}`)).toBe(before);
		} finally {
			await onVm("rm /etc/systemd/resolved.conf.d/50-other.conf && systemctl restart systemd-resolved");
		}
	});
});

describe("a change", () => {
	it("that does not resolve is taken back at once, files and all, and no cache is restarted", async () => {
		const [before, ran] = [await everything(), await containers()];
		await declare({ primary: `${NET}.250`, fallback: `${NET}.251` });
		const { exitCode, output } = await changed.up();
		expect(output).toContain(`${names.internal.name} does not resolve with the settings as they are now`);
		expect(output).toContain("the former settings are back");
		expect(exitCode).not.toBe(0);
		expect(await everything()).toBe(before);
		await until("internal names are back", 20, async () => (await resolves(names.internal.name)) !== "");
		expect(await containers()).toEqual(ran);
		await up();
		expect(await containers()).toEqual(ran);
	});

	it.each([
		["between two of its files", "mv", `/bin/mv "$@"; case $* in *10-internal-dns*) : >/run/asked; sleep 300 ;; esac`],
		["before it was committed", "getent", ": >/run/asked; sleep 300"],
	])("of a run that is killed %s is taken back by the host itself", async (_, program, text) => {
		const before = await everything();
		const stub = `/usr/local/bin/${program}`;
		await onVm(`rm -f /run/asked; cat >${stub} <<'EOF'\n#!/bin/sh\n${text}\nEOF\nchmod 755 ${stub}`);
		await declare({ search: "changed.lan" });
		const child = spawn("pulumi", ["up", "--yes", "--skip-preview", "--stack", STACK, "--non-interactive"], {
			cwd: changed.folder,
			detached: true,
			stdio: "ignore",
		});
		try {
			await until("it is under way", 60, async () => (await askVm("ls /run/asked")).exitCode === 0);
			expect(await onVm(`cat ${DROP_IN}`)).toContain("changed.lan");
		} finally {
			process.kill(-(child.pid as number), "SIGKILL");
			await once(child, "exit");
			// What it runs on the host as well: all that is left is the host's own timer.
			const left = ["[f]ileset apply dns", "[c]ommit.sh", "[s]leep 300"].map((what) => `pkill -9 -f '${what}'`);
			await onVm(`${left.join("; ")}; rm -f ${stub} /run/asked`);
		}
		await until("the host has taken it back", 90, async () => !(await everything()).includes("changed.lan"));
		expect(await everything()).toBe(before);
		const domain = () => onVm("resolvectl domain eth0");
		await until("the former settings are live", 10, async () => (await domain()).includes("viktorbarzin.lan"));
		await run("pulumi", ["cancel", "--yes", "--stack", STACK], { cwd: changed.folder });
		await up();
		expect((await askVm("systemctl is-active dns-revert.timer")).stdout).toBe("inactive");
		expect((await drift()).exitCode).toBe(0);
	});

	it("of the servers reaches the caches without a restart, because they ask the VM's own resolver", async () => {
		const before = await containers();
		await declare({ fallback: `${NET}.95` });
		const { exitCode, output } = await changed.up();
		expect(exitCode, output).toBe(0);
		await docker("pause", dns.container);
		try {
			await onVm("resolvectl flush-caches");
			// By then, resolved would have asked the former second one.
			expect(await resolvesInside("ghcr", names.external.name, 10)).toBe("");
		} finally {
			await docker("unpause", dns.container);
		}
		await up();
		await docker("pause", dns.container);
		try {
			await onVm("resolvectl flush-caches; getent ahostsv4 www.example.com");
			expect(await resolvesInside("ghcr", names.external.name)).toBe(names.external.address);
		} finally {
			await docker("unpause", dns.container);
		}
		await until("internal names are back", 60, async () => (await resolves(names.internal.name)) !== "");
		expect(await containers()).toEqual(before);
	});

	describe("where Docker copies the servers, because /etc/resolv.conf is a list of them,", () => {
		const link = (name: string) =>
			onVm(
				`ln -sfn ../run/systemd/resolve/${name} /etc/resolv.conf && docker restart ${caches.map(({ name }) => `registry-${name}`).join(" ")}`,
			);
		beforeAll(async () => {
			await link("resolv.conf");
			await onVm("rm /var/lib/pulumi-host/dns/servers");
		});
		afterAll(async () => {
			await link("stub-resolv.conf");
			await onVm("rm /var/lib/pulumi-host/dns/servers");
		});

		it("restarts the caches, one by one, and nobody else", async () => {
			const before = await containers();
			await declare({ fallback: `${NET}.95` });
			const { exitCode, output } = await changed.up();
			expect(exitCode, output).toBe(0);
			const after = await containers();
			const started = restarted(before, after);
			expect(started.sort()).toEqual(caches.map(({ name }) => `registry-${name}`).sort());
			for (const name of started) expect(after[name]?.id).toBe(before[name]?.id);
			// The primary is asked first, so the proof that they have the new second one is that nobody answers there.
			await docker("pause", dns.container);
			try {
				expect(await resolvesInside("ghcr", names.external.name, 2)).toBe("");
			} finally {
				await docker("unpause", dns.container);
			}
			expect(await onVm("sh /opt/registry/bounce.sh try-verify </dev/null")).toBe("");
		});

		it("does not stop a cache that could not start again; the restart stays owed", async () => {
			const upstream = `${PREFIX}-upstream-${caches[1]?.name}`;
			const before = await containers();
			await docker("stop", "--time", "1", upstream);
			try {
				await declare({ fallback: `${NET}.94` });
				const { exitCode, output } = await changed.up();
				expect(output).toMatch(
					/still with the former name servers, because their upstreams do not answer.*: registry-ghcr;/,
				);
				expect(exitCode).not.toBe(0);
				expect((await containers())["registry-ghcr"]).toEqual(before["registry-ghcr"]);
			} finally {
				await docker("start", upstream);
			}
			const { exitCode, output } = await changed.up();
			expect(exitCode, output).toBe(0);
			expect((await containers())["registry-ghcr"]?.startedAt).not.toBe(before["registry-ghcr"]?.startedAt);
		});

		it("fails over in the containers, too", async () => {
			await up();
			const { exitCode, output } = await script("failover", registryVm.hostname);
			expect(exitCode, output).toBe(0);
			expect(output).toMatch(
				/^[1-9]\d* packets from 172\.30\.7[78]\.2 were dropped, [1-9]\d* more on their way to containers/m,
			);
			expect(output).toMatch(
				/^primary down, in registry-dockerhub: www\.example\.com is 203\.0\.113\.80, after \d+ ms$/m,
			);
		});
	});

	it("goes back to a backup: contents, modes, links; and what the change added is gone", async () => {
		await onVm(`systemctl disable --now dns-failback; rm -f /usr/local/sbin/dns-failback /etc/systemd/system/dns-failback.service
mkdir -p /srv/dns && mv ${DROP_IN} /srv/dns/elsewhere.conf && ln -s /srv/dns/elsewhere.conf ${DROP_IN} && chmod 640 /srv/dns/elsewhere.conf ${NETPLAN}`);
		const look = () =>
			onVm(
				`readlink ${DROP_IN}; cat ${DROP_IN} ${NETPLAN}; stat -c '%a %n' ${NETPLAN}; ls /usr/local/sbin/dns-failback || true`,
			);
		const before = await look();
		expect(before).toMatch(/^\/srv\/dns\/elsewhere\.conf\n/);
		await up();
		expect(await look()).not.toBe(before);
		const { exitCode, output } = await script("rollback", registryVm.hostname);
		expect(output).toMatch(/^put back dns-config-backup-\d{8}T\d{6}Z\.tar\.gz$/m);
		expect(exitCode, output).toBe(0);
		expect(await look()).toBe(before);
		expect((await askVm("systemctl is-active dns-failback")).stdout).toBe("inactive");
		expect(await resolves(names.internal.name)).toBe(names.internal.address);
		await up();
		await onVm("rm -r /srv/dns");
		expect(await onVm("systemctl is-active dns-failback")).toBe("active");
	});
});

describe("the failover", () => {
	it("is proved, on the VM and in a container, and nothing of it is left", async () => {
		const { exitCode, output } = await script("failover", registryVm.hostname);
		const ms = (line: RegExp) => Number(line.exec(output)?.[1]);
		expect(exitCode, output).toBe(0);
		expect(output).toMatch(/^split horizon: .* does not know docker-registry\.viktorbarzin\.lan \(NXDOMAIN\)/m);
		expect(ms(/^primary down: www\.example\.com is 203\.0\.113\.80, after (\d+) ms$/m), output).toBeGreaterThan(1000);
		expect(ms(/^primary down: www\.example\.com is 203\.0\.113\.80, after (\d+) ms$/m)).toBeLessThan(10_000);
		expect(ms(/^once more: www\.example\.com is 203\.0\.113\.80, after (\d+) ms$/m)).toBeLessThan(100);
		expect(output).toMatch(/^primary down, by dig: www\.example\.com is 203\.0\.113\.80, after \d+ ms$/m);
		expect(output).toMatch(
			/^primary down, in registry-dockerhub: www\.example\.com is 203\.0\.113\.80, after \d+ ms$/m,
		);
		expect(output).toMatch(/^[1-9]\d* packets from 172\.30\.7[78]\.2 were dropped, 0 more on their way to containers/m);
		expect(ms(/^primary up again: .* was back after (\d+) s$/m), output).toBeLessThan(60);
		expect(output).toMatch(/^primary up again, in registry-dockerhub: .* is 172\.30\.7[78]\.10, after \d+ ms$/m);
		expect(await onVm("iptables -S INPUT; iptables -S FORWARD")).not.toMatch(/172\.30\.7[78]\.2\/32.*DROP/);
	});
});

describe("nothing but a failing server", () => {
	it("takes the names away: restarts of resolved and of networkd, netplan apply", async () => {
		for (const command of [
			"systemctl restart systemd-resolved",
			"systemctl restart systemd-networkd",
			"unshare --mount sh -c 'mount -o remount,rw /sys && netplan apply'", // A container's is read-only.
		]) {
			await onVm(command);
			await until(`resolved has its servers after ${command}`, 20, async () => (await live()) === `${both}\n${both}`);
			expect(await resolves(names.internal.name), command).toBe(names.internal.address);
		}
		expect((await drift()).exitCode).toBe(0);
	});

	it("a reboot", async () => {
		await docker("restart", "--time", "20", registryVm.container);
		await until("every port answers as itself again", 120, async () => {
			return (await askVm("sh /opt/registry/bounce.sh try-verify </dev/null")).exitCode === 0;
		});
		expect(await live()).toBe(`${both}\n${both}`);
		expect(await resolves(names.internal.name)).toBe(names.internal.address);
		expect(await onVm("systemctl is-active dns-failback")).toBe("active");
		expect((await drift()).exitCode).toBe(0);
	});

	it("cloud-init, which writes the file anew where it may, and is told not to", async () => {
		const seed = "/var/lib/cloud/seed/nocloud";
		const disable = "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg";
		const network = `{version: 2, ethernets: {eth0: {addresses: [${registryVm.address}/24], nameservers: {addresses: [${NET}.93]}}}}`;
		const init = "cloud-init clean --logs >/dev/null 2>&1; cloud-init --force init --local";
		await onVm(`cp -p ${NETPLAN} /root/netplan.kept; mkdir -p ${seed}
printf 'instance-id: lab\\n' >${seed}/meta-data; printf '#cloud-config\\npreserve_hostname: true\\n' >${seed}/user-data
printf '%s\\n' '${network}' >${seed}/network-config`);
		try {
			const before = await onVm(`cat ${NETPLAN}`);
			await onVm(init);
			expect(await onVm(`cat ${NETPLAN}`)).toBe(before);
			await onVm(`mv ${disable} /root/disable.kept; ${init}; mv /root/disable.kept ${disable}`);
			expect(await onVm(`cat ${NETPLAN}`)).toContain(`${NET}.93`);
		} finally {
			await onVm(`mv /root/netplan.kept ${NETPLAN}; rm -rf /var/lib/cloud/seed; netplan generate; networkctl reload`);
		}
		await up();
		expect((await drift()).exitCode).toBe(0);
	});
});
