/** Wrong config and wrong hosts: one clear message, exit status not 0, and nothing changed anywhere. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { registryVm, STACK } from "../../lab/estate.ts";
import { hostConfig, onVm, pulumi, registryConfig, type StackConfig, up, type Variant, variant } from "./lab.ts";

let changed: Variant;

beforeAll(async () => {
	changed = await variant();
});
afterAll(() => changed[Symbol.asyncDispose]());
afterEach(() => changed.reset());

/** Without what cron measures. */
const snapshot = () =>
	onVm(
		"find /opt/registry /var/lib/pulumi-host \\( -path /opt/registry/data -o -path /opt/registry/metrics \\) -prune -o -type f -exec sha256sum {} + | sort; docker ps --all --no-trunc --format '{{.Names}} {{.ID}} {{.Status}}' | sed 's/ Up .*/ Up/' | sort",
	);

/** Runs `pulumi up` with a changed config, in which something else is waiting to be changed, too. */
async function upWith(change: (config: StackConfig) => unknown) {
	await changed.configure((config) => {
		config["homelab-registry:registryUser"] = "somebody-else";
		change(config);
	});
	return changed.up();
}

const set = (key: string, value: unknown) => (config: StackConfig) => {
	config[`homelab-registry:${key}`] = value;
};
const inHost = (key: string, value: unknown) => (config: StackConfig) => {
	Object.assign(hostConfig(config, registryVm.hostname), { [key]: value });
};
const otherHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl7nqVg5cDjSM2M0dmwFw0QvJ8hyjzv0yYbbyDGnPsj";

describe("pulumi up with", () => {
	it.each([
		[
			"an unknown key, a missing one, one of an earlier release and a wrong type",
			(config: StackConfig) => {
				set("registryHots", "x")(config);
				Reflect.deleteProperty(registryConfig(config), "uiPort");
				set("uiPort", 8080)(config);
				Object.assign(registryConfig(config), { subnet: 24 });
			},
			[
				/registryHots: unknown key; take it out/,
				/hosts\.docker-registry\.registry\.uiPort: missing; set it with/,
				/uiPort: is now hosts\.<name>\.registry\.uiPort/,
				/subnet: expected string/,
			],
		],
		[
			"a port used twice",
			(config: StackConfig) => Object.assign(registryConfig(config).caches[2] as object, { port: 5010 }),
			[/caches\[2\]\.port: port 5010 is already used by caches\.1\.port/],
		],
		["an unreachable host", inHost("port", 1), [/host 127\.0\.0\.1 \(port 1\) can't be reached: .*is the host up/]],
		[
			"a wrong host key",
			inHost("hostKey", otherHostKey),
			[/shows the host key SHA256:\S+, but SHA256:\S+ is pinned; nothing was sent/],
		],
		["a login that is refused", inHost("user", "nobody"), [/refuses the login of nobody/]],
	] satisfies [string, (config: StackConfig) => unknown, RegExp[]][])(
		"%s says so, changes nothing and fails",
		async (_, change, messages) => {
			const before = await snapshot();
			const { exitCode, output } = await upWith(change);
			for (const message of messages) expect(output).toMatch(message);
			expect(exitCode).not.toBe(0);
			expect(await snapshot()).toBe(before);
		},
	);

	it("an SSH agent in the environment that is gone says so, changes nothing and fails", async () => {
		const before = await snapshot();
		await changed.configure((config) => {
			config["homelab-registry:registryUser"] = "somebody-else";
		});
		const args = ["up", "--yes", "--skip-preview", "--stack", STACK];
		const { exitCode, output } = await pulumi(args, changed.folder, { SSH_AUTH_SOCK: "/run/no-such-agent" });
		expect(output).toMatch(/SSH_AUTH_SOCK names an SSH agent that does not answer \(.*ENOENT.*unset SSH_AUTH_SOCK/);
		expect(exitCode).not.toBe(0);
		expect(await snapshot()).toBe(before);
	});

	it.each([
		[
			"no docker client",
			"mv /usr/bin/docker /usr/bin/docker.away",
			"mv /usr/bin/docker.away /usr/bin/docker",
			/Docker does not run there; install Docker Engine/,
		],
		[
			"no compose",
			"cd /usr/libexec/docker/cli-plugins && mv docker-compose /root/compose.away",
			"mv /root/compose.away /usr/libexec/docker/cli-plugins/docker-compose",
			/Docker has no compose plugin there/,
		],
	])("a host that has %s says so, changes nothing and fails", async (_, take, giveBack, message) => {
		const before = await snapshot();
		await onVm(take);
		try {
			const { exitCode, output } = await upWith(() => {});
			expect(output).toMatch(message);
			expect(exitCode).not.toBe(0);
		} finally {
			await onVm(giveBack);
		}
		expect(await snapshot()).toBe(before);
	});

	it("a network of the compose network's name that somebody made by hand says so, and takes nobody off it", async () => {
		await onVm(`docker compose --project-directory /opt/registry down >/dev/null 2>&1
docker network create registry && docker run --detach --name registry-ui --network registry registry:2.8.3`);
		try {
			const before = await snapshot();
			const { exitCode, output } = await upWith(() => {});
			expect(output).toMatch(
				/there is a Docker network registry that is not of the compose project registry; take the containers off it[\s\S]*registry-ui/,
			);
			expect(exitCode).not.toBe(0);
			expect(await snapshot()).toBe(before);
		} finally {
			await onVm("docker rm --force registry-ui && docker network rm registry");
			await up();
		}
	});
});
