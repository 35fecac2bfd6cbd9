/** A host that can't be reached is a difference of its own, and stops nobody else. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kubernetes, network, proxmox, registryVm, STACK, vault, woodpecker } from "../../lab/estate.ts";
import { until } from "../../lab/run.ts";
import {
	begin,
	checkout,
	containers,
	docker,
	drift,
	env,
	hostConfig,
	leave,
	onVm,
	pulumi,
	restarted,
	run,
	up,
	type Variant,
	variant,
} from "./lab.ts";

const NGINX = "/opt/registry/nginx.conf";
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

describe("while the Proxmox host is down", () => {
	beforeAll(() => docker("stop", "--time", "5", proxmox.container));
	afterAll(async () => {
		await docker("start", proxmox.container);
		await until("the host has booted", 60, async () => {
			return (await run("ssh", ["-F", env("LAB_SSH_CONFIG"), "pve", "true"])).exitCode === 0;
		});
	});

	it("no preview is clean, and it says which host, and why", async () => {
		const { exitCode, output } = await drift();
		expect(output).toMatch(/host 127\.0\.0\.1 \(port \d+\) can't be reached: .*It can't be looked at/);
		expect(output).toContain("unreachable");
		expect(exitCode).not.toBe(0);
	});

	it("a hand edit on the registry VM is put back by a plain update, which then fails by name", async () => {
		const before = await onVm(`cat ${NGINX}`);
		await onVm(`sed -i 's/server_tokens off;/server_tokens on;/' ${NGINX}`);
		const { exitCode, output } = await pulumi(["up", "--yes", "--skip-preview"]);
		expect(await onVm(`cat ${NGINX}`)).toBe(before);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain("server_tokens off;");
		expect(output).toMatch(/It was not changed; run the same update again once it is up/);
		expect(output).toMatch(/not reached, and so not updated: pve\. Everything else is done/);
		expect(exitCode).not.toBe(0);
		const { stdout } = await pulumi(["stack", "output", "--json"]);
		expect(JSON.parse(stdout).unreachable).toEqual({ pve: expect.stringContaining("can't be reached") });
	});

	it("a changed login key of it does not stop the others either", async () => {
		await changed.configure((config) => {
			const keys = config["homelab-registry:sshPrivateKeys"] as Record<string, unknown>;
			Reflect.deleteProperty(hostConfig(config, proxmox.hostname), "key"); // What can't be read is not copied.
			keys[proxmox.hostname] = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
		});
		await onVm(`sed -i 's/server_tokens off;/server_tokens on;/' ${NGINX}`);
		const { exitCode, output } = await changed.up();
		expect(await onVm(`cat ${NGINX}`)).toContain("server_tokens off;");
		expect(output).toContain("not reached, and so not updated: pve");
		expect(exitCode).not.toBe(0);
	});
});

it("once it is back, the next plain update finishes, and the one after changes nothing", async () => {
	await up();
	expect((await drift()).exitCode).toBe(0);
	const { stdout } = await pulumi(["stack", "output", "--json"]);
	expect(JSON.parse(stdout)).toMatchObject({ unreachable: {}, deferred: [expect.stringContaining("truenas")] });
});

describe("while the cluster is down, and Vault and Woodpecker, which run in it", () => {
	const others = [vault, woodpecker];
	beforeAll(async () => {
		await docker("pause", kubernetes.container);
		for (const { container } of others) await docker("network", "disconnect", network.name, container);
	});
	afterAll(async () => {
		for (const { container, address } of others)
			await docker("network", "connect", "--ip", address, network.name, container);
		await docker("unpause", kubernetes.container);
	});

	it("a plain update changes nothing, and what the runbook says of that does all that is on hosts", async () => {
		const runbook = await readFile(join(checkout, "docs/runbooks/registry-vm.md"), "utf8");
		const row = runbook.split("\n").find((line) => line.includes('see "The cluster is down"')) ?? "";
		const messages = [...row.matchAll(/`([^`]+)`/g)].map(([, message = ""]) => message.split("...")[0] as string);
		expect(messages).toHaveLength(3);
		const [, command] = /`(pulumi up --exclude [^`]+)`/.exec(runbook) ?? [];
		await onVm(`sed -i 's/server_tokens off;/server_tokens on;/' ${NGINX}`);
		const { exitCode, output } = await pulumi(["up", "--yes", "--skip-preview"]);
		for (const message of messages) expect(output).toContain(message);
		expect(exitCode).not.toBe(0);
		expect(await onVm(`cat ${NGINX}`)).toContain("server_tokens on;");
		// A line of another label would be another key's, whose copy Vault does not have yet.
		await changed.configure((config) => {
			(hostConfig(config, registryVm.hostname)["key"] as { label: string }).label = "changed";
		});
		const allOnHosts = () =>
			run("sh", ["-c", `${command} --yes --skip-preview --non-interactive --stack ${STACK}`], { cwd: changed.folder });
		// Nor is there anybody to ask for the certificate, where it comes from Vault.
		await changed.configure((config) => {
			delete config["homelab-registry:tlsCertificate"];
			delete config["homelab-registry:tlsPrivateKey"];
			config["homelab-registry:tlsFrom"] = { vault: { path: "tls" } };
		});
		const unknown = await allOnHosts();
		expect(unknown.output).toMatch(/error: Vault at .* was not reached/);
		expect(unknown.exitCode).not.toBe(0);
		expect(await onVm(`cat ${NGINX}`)).toContain("server_tokens on;");
		const [, copyPair = ""] = /```sh checkout\n(pair=[\s\S]*?)```/.exec(runbook) ?? [];
		const copied = await run("sh", ["-ec", copyPair], { env: { VM: `-F ${env("LAB_SSH_CONFIG")} registry` } });
		const [, folder = ""] = /^certificate: (\S+)\/fullchain\.pem, /.exec(copied.stdout) ?? [];
		expect(folder, copied.output).not.toBe("");
		const [, tlsFrom = ""] = /`tlsFrom: (\{ files: .+?)`/.exec(runbook) ?? [];
		await changed.configure((config) => {
			config["homelab-registry:tlsFrom"] = parse(tlsFrom.replaceAll("FOLDER", folder));
		});
		const pair = "sha256sum /opt/registry/tls/*.pem";
		const lines = await onVm("cat /root/.ssh/authorized_keys");
		const [served, certificate] = [await containers(), await onVm(pair)];
		const rest = await allOnHosts();
		expect(rest.exitCode, rest.output).toBe(0);
		expect(rest.output).toMatch(/login key of .* stays as it is, .* Vault at .* was not reached/);
		expect(rest.output).not.toMatch(/(kubernetes|vault|woodpecker):.*(creat|updat|replac|delet)/);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain("server_tokens off;");
		expect(await onVm("cat /root/.ssh/authorized_keys")).toBe(lines);
		expect(restarted(served, await containers())).toEqual(["registry-nginx"]);
		expect(await onVm(pair)).toBe(certificate);
		await rm(folder, { recursive: true });
	});
});

it("once the cluster is back, nothing of it was forgotten: there is nothing to do", async () => {
	await until("Vault answers", 30, async () => (await run("vault", ["status"])).exitCode === 0);
	const { exitCode, output } = await drift();
	expect(exitCode, output).toBe(0);
});

describe("a plain update works after", () => {
	const works = async () => {
		const { exitCode, output } = await changed.up();
		expect(exitCode, output).toBe(0);
		const back = await pulumi(["up", "--yes", "--skip-preview"]);
		expect(back.exitCode, back.output).toBe(0);
	};

	it("the address and the host key were changed in the config", async () => {
		// The same machine under another name, and by a key of another type.
		const key = await onVm(`cd /etc/ssh && rm -f second* && ssh-keygen -q -t ecdsa -N '' -f second && cat second.pub
echo 'HostKey /etc/ssh/second' >sshd_config.d/second.conf && systemctl restart ssh`);
		await changed.configure((config) =>
			Object.assign(hostConfig(config, registryVm.hostname), {
				address: "localhost",
				hostKey: key.split(" ").slice(0, 2).join(" "),
			}),
		);
		await works();
		await onVm("rm -f /etc/ssh/second* /etc/ssh/sshd_config.d/second.conf && systemctl restart ssh");
	});

	it("the login key was changed, on the host and in the config", async () => {
		const keys = "/root/.ssh/authorized_keys";
		const key = await onVm(
			`cp -p ${keys} /root/keys.kept && rm -f /root/next* && ssh-keygen -q -t ed25519 -N '' -f /root/next && cat /root/next.pub >${keys} && cat /root/next`,
		);
		const set = ["config", "set", "--secret", "--path", `sshPrivateKeys.${registryVm.hostname}`, "--stack", "lab"];
		try {
			expect((await run("pulumi", set, { cwd: changed.folder, input: `${key}\n` })).exitCode).toBe(0);
			const { exitCode, output } = await changed.up();
			expect(exitCode, output).toBe(0);
		} finally {
			const image = (await docker("inspect", "--format", "{{.Config.Image}}", registryVm.container)).stdout;
			expect(image).toContain("machine");
			await docker("exec", registryVm.container, "mv", "/root/keys.kept", keys);
		}
		const back = await pulumi(["up", "--yes", "--skip-preview"]);
		expect(back.exitCode, back.output).toBe(0);
	});

	it("the old address answers nobody any more", async () => {
		await changed.configure((config) => Object.assign(hostConfig(config, registryVm.hostname), { port: 9 }));
		const lost = await changed.up();
		expect(lost.exitCode).not.toBe(0);
		expect(lost.output).toContain("not reached, and so not updated: docker-registry");
		const { exitCode, output } = await pulumi(["up", "--yes", "--skip-preview"]);
		expect(exitCode, output).toBe(0);
	});
});
