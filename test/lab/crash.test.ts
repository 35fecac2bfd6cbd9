/** A run that dies: no half-written file, no lost restart, and one more plain update finishes it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FileSet } from "../../host/fileSet.ts";
import type { Properties } from "../../host/protocol.ts";
import { registryVm, STACK } from "../../lab/estate.ts";
import { paths } from "../../lab/paths.ts";
import { until } from "../../lab/run.ts";
import {
	begin,
	containers,
	drift,
	env,
	leave,
	onVm,
	pulumi,
	registryConfig,
	run,
	up,
	type Variant,
	variant,
} from "./lab.ts";

/**
 * Programs on the VM, wrapped: the one that makes the call number $(cat /run/fault/at) kills the script
 * that called it, or holds until /run/fault/hold is gone, as /run/fault/kind says.
 */
const wrapped = ["mv", "sync", "install", "cp", "rm", "docker", "curl"];
const wrapper = `#!/bin/sh
real=/usr/bin/$(basename "$0")
[ -d /run/fault ] || exec "$real" "$@"
echo "$(basename "$0") $*" >>/run/fault/calls
if [ "$(wc -l </run/fault/calls)" = "$(cat /run/fault/at)" ] || { [ -s /run/fault/match ] && echo "$(basename "$0") $*" | grep -q -f /run/fault/match; }; then
	case $(cat /run/fault/kind) in
	kill) kill -9 $PPID; exit 1 ;;
	hold) : >/run/fault/reached; while [ -e /run/fault/hold ]; do sleep 0.05; done ;;
	esac
fi
exec "$real" "$@"
`;
const armed = (kind: "kill" | "hold", at: number | "never", match = "") =>
	`/usr/bin/rm -rf /run/fault; mkdir /run/fault; : >/run/fault/calls; echo ${at} >/run/fault/at; printf '${match}' >/run/fault/match; echo ${kind} >/run/fault/kind; : >/run/fault/hold`;
const arm = (...how: Parameters<typeof armed>) => onVm(armed(...how));
const disarmed = "/usr/bin/rm -rf /run/fault"; // Not the wrapped one.
const disarm = () => onVm(disarmed);

beforeAll(async () => {
	await begin();
	for (const name of wrapped) {
		const { exitCode } = await run(
			"ssh",
			[
				"-F",
				process.env["LAB_SSH_CONFIG"] as string,
				"registry",
				`cat >/usr/local/bin/${name} && chmod 755 /usr/local/bin/${name}`,
			],
			{ input: wrapper },
		);
		expect(exitCode).toBe(0);
	}
});
afterEach(disarm);
afterAll(async () => {
	await onVm(`cd /usr/local/bin && rm -f ${wrapped.join(" ")}`);
	await leave();
});

describe("the far side dies at any of its steps", () => {
	const ROOT = "/srv/crash-test";
	const context = { urn: "", preview: false, log: () => {} };
	const inputs = async (version: string): Promise<Properties> => ({
		name: "crash-test",
		connection: {
			host: "127.0.0.1",
			port: registryVm.sshPort,
			user: "root",
			privateKey: await readFile(join(paths.keys, "login"), "utf8"),
			hostKey: (await readFile(join(paths.keys, "host.pub"), "utf8")).trim().split(" ").slice(0, 2).join(" "),
		},
		preconditions: [],
		beforeActivation: [],
		conditions: {},
		lines: {},
		checks: [{ name: "judge", script: `grep -q ${version} "$(staged ${ROOT}/a)"`, files: [`${ROOT}/a`] }],
		files: Object.fromEntries(
			["a", "b"].map((name) => [
				`${ROOT}/${name}`,
				{
					content: `${version}\n`.repeat(5000),
					mode: "0600",
					owner: "root:root",
					notify: [`group-${name}`],
					effect: "none",
				},
			]),
		),
	});
	type State = Properties & { owed: string[]; interrupted: boolean; files: Record<string, { content: string }> };
	const read = async (state: Properties) => (await FileSet.read?.("crash-test", state, context))?.state as State;
	const STATE = "/var/lib/pulumi-host/crash-test";
	const wiped = `rm -rf ${ROOT} ${STATE}`;
	afterAll(() => onVm(`${wiped} ${ROOT}.kept ${STATE}.kept`));

	it("files are old or new, never torn; what became new is owed; the next update finishes", async () => {
		const [before, wanted] = [await inputs("old"), await inputs("new")];
		const content = (properties: Properties, path: string) => (properties as State).files[path]?.content;
		const seen = { untouched: 0, between: 0, done: 0 };
		const state = (await FileSet.create(before, context)).state;
		await onVm(
			`cd ${STATE} && mkdir verified && cp revisions/* verified/ && cp -a ${ROOT} ${ROOT}.kept && cp -a . ../$(basename ${STATE}).kept`,
		);
		for (let step = 1; ; step++) {
			await onVm(
				`${wiped} && cp -a ${ROOT}.kept ${ROOT} && cp -a ${STATE}.kept ${STATE} && { ${armed("kill", step)}; }`,
			);
			const outcome = await FileSet.update("crash-test", state, wanted, context).then(
				() => "finished",
				() => "died",
			);
			const calls = Number(await onVm(`wc -l </run/fault/calls; ${disarmed}`));
			if (calls < step) {
				expect(outcome).toBe("finished");
				expect(step).toBeGreaterThan(15);
				break;
			}

			const found = await read(state);
			const fresh = Object.keys(found.files).filter((path) => content(found, path) === content(wanted, path));
			const stale = Object.keys(found.files).filter((path) => content(found, path) === content(before, path));
			expect([...fresh, ...stale].sort(), `step ${step}`).toEqual([`${ROOT}/a`, `${ROOT}/b`]);
			for (const path of fresh) expect(found.owed, `step ${step}`).toContain(`group-${path.at(-1)}`);
			seen[fresh.length === 0 ? "untouched" : fresh.length === 1 ? "between" : "done"]++;

			const finished = await FileSet.update("crash-test", { ...state, ...found }, wanted, context);
			const after = await read(finished);
			expect(after.interrupted, `step ${step}`).toBe(false);
			for (const path of fresh) expect(after.owed).toContain(`group-${path.at(-1)}`);
			expect(content(after, `${ROOT}/a`)).toBe(content(wanted, `${ROOT}/a`));
			expect(await onVm(`ls -A ${ROOT}; ls -A /run | grep pulumi-host- || true`), `step ${step}`).toBe("a\nb");
		}
		// The faults did hit all three phases.
		expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
	});
});

describe("pulumi is killed", () => {
	let changed: Variant;
	beforeAll(async () => {
		changed = await variant();
	});
	afterAll(() => changed[Symbol.asyncDispose]());

	it.each([
		["after the staging", "sync .*/generations/"],
		["after the first file", "mv -fT .*/.nginx.conf.staged"],
		["between the files and the restart", "compose --progress quiet up"],
		["between compose and nginx", "docker restart registry-nginx"],
		// As bounce.sh asks; the checks of the new files ask in other words.
		["before the verification", "curl -sS.*5000/v2"],
	])("%s: the next up does what is owed, and then there is nothing to do", async (when, match) => {
		await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", `server_tokens off; # ${when}`);
		await changed.configure((config) => {
			registryConfig(config).private.maxSize = `${50 + when.length}GiB`;
		});
		const before = await containers();
		await arm("hold", "never", match);
		const child = spawn("pulumi", ["up", "--yes", "--skip-preview", "--stack", STACK, "--non-interactive"], {
			cwd: changed.folder,
			stdio: "ignore",
		});
		await until("the update has come so far", 60, async () => (await onVm("ls /run/fault")).includes("reached"));
		child.kill("SIGKILL");
		await once(child, "exit");
		// Nobody goes on where the killed run was: what it had started on the VM ends with it.
		await onVm("pkill -9 -f 'bounce[.]sh' ; rm -f /run/fault/hold /run/fault/match; true");
		await disarm();
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null"); // Whatever was served is still served.

		await pulumi(["cancel", "--yes", "--stack", STACK], changed.folder);
		const { exitCode, output } = await changed.up();
		expect(output).not.toContain("error:");
		expect(exitCode).toBe(0);
		const after = await containers();
		expect(after["registry-private"]?.id).not.toBe(before["registry-private"]?.id);
		expect(after["registry-nginx"]?.startedAt).not.toBe(before["registry-nginx"]?.startedAt);
		expect(after["registry-quay"]).toEqual(before["registry-quay"]);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain(when);
		// Nothing is owed any more.
		await onVm("diff -r /var/lib/pulumi-host/registry/revisions /var/lib/pulumi-host/registry/verified");
	});

	it("the VM is rebooted after the files, before the restart: the same", async () => {
		await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # reboot");
		await arm("hold", "never", "docker restart registry-nginx");
		const child = spawn("pulumi", ["up", "--yes", "--skip-preview", "--stack", STACK, "--non-interactive"], {
			cwd: changed.folder,
			stdio: "ignore",
		});
		const ended = once(child, "exit"); // It may end while the VM goes down.
		await until("the update has come so far", 60, async () => (await onVm("ls /run/fault")).includes("reached"));
		await run("docker", [
			"--host",
			process.env["LAB_DOCKER_HOST"] as string,
			"restart",
			"-t",
			"5",
			registryVm.container,
		]);
		await ended;
		await until("the VM is back, its unit has brought the containers up", 120, async () => {
			const { exitCode } = await run("ssh", [
				"-F",
				process.env["LAB_SSH_CONFIG"] as string,
				"registry",
				"systemctl is-active docker-compose-registry.service && sh /opt/registry/bounce.sh try-verify </dev/null",
			]);
			return exitCode === 0;
		});
		await pulumi(["cancel", "--yes", "--stack", STACK], changed.folder);
		expect((await changed.up()).exitCode).toBe(0);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain("# reboot");
		expect((await changed.up()).output).toMatch(/Resources:\n +\d+ unchanged\n/);
	});
});

describe("the way to the VM is cut", () => {
	it("the update fails and says so, and the next one does what is owed", async () => {
		await using changed = await variant();
		await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", "server_tokens off; # cut");
		await arm("hold", "never", "docker restart registry-nginx");
		const cut = changed.up();
		await until("the update has come so far", 60, async () => (await onVm("ls /run/fault")).includes("reached"));
		await onVm("kill $(ps -o ppid= -p $(pgrep -of 'bounce[.]sh nginx'))");
		const { exitCode, output } = await cut;
		expect(exitCode).not.toBe(0);
		expect(output).toMatch(/registry-nginx-restart/);
		await onVm("pkill -9 -f 'bounce[.]sh'; true");
		await disarm();
		expect((await changed.up()).exitCode).toBe(0);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain("# cut");
		expect((await changed.up()).output).toMatch(/Resources:\n +\d+ unchanged\n/);
	});
});

describe("the VM lost its power", () => {
	it("comes back, and the next update puts right whatever did not", async () => {
		const docker = (...args: string[]) => run("docker", ["--host", env("LAB_DOCKER_HOST"), ...args]);
		await docker("kill", "--signal", "KILL", registryVm.container);
		await docker("start", registryVm.container);
		await until("Docker answers on the VM", 120, async () => {
			const { exitCode } = await run("ssh", ["-F", env("LAB_SSH_CONFIG"), "registry", "docker info"]);
			return exitCode === 0;
		});
		await up();
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
		expect((await drift()).exitCode).toBe(0);
	});
});

describe("Docker was stopped", () => {
	it("is seen, and the next update starts it and all that ran in it", async () => {
		await onVm("systemctl stop docker.socket docker.service");
		const found = await drift();
		expect(found.exitCode).not.toBe(0);
		expect(found.output).toMatch(/Cannot connect to the Docker daemon/);
		expect((await up()).output).toContain("Docker does not run there: put right");
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
		expect((await drift()).exitCode).toBe(0);
	});
});

describe.each(["/opt/registry", "/var/lib/pulumi-host"])("the disk with %s", (folder) => {
	/** A copy of the folder, but for the registries' data, on a disk of just that size. */
	const full = `cd ${folder} && tar --exclude=./data -cf /run/copy.tar . && size=$(du -sk --exclude=./data . | cut -f 1) && cd / &&
size=$((size + 64))k && mount -t tmpfs -o size=$size full ${folder} &&
tar -xf /run/copy.tar -C ${folder} && rm /run/copy.tar && { dd if=/dev/zero of=${folder}/filler bs=4k 2>/dev/null || true; }`;
	it("is full, then can only be read: nothing is changed, and the next update finds all as it was", async () => {
		await using changed = await variant();
		await changed.edit("components/registryVm/nginx.ts", "server_tokens off;", `server_tokens off; # ${folder}`);
		const look = async () => [await onVm("sha256sum /opt/registry/*.*"), await containers()];
		const before = await look();
		for (const [command, message] of [
			[full, /No space left on device/],
			[`mount --bind ${folder} ${folder} && mount -o remount,bind,ro ${folder}`, /Read-only file system/],
		] as const) {
			await onVm(command);
			const { exitCode, output } = await changed.up().finally(() => onVm(`umount ${folder}`));
			expect(output).toMatch(message);
			expect(output).toContain("was not changed");
			expect(exitCode).not.toBe(0);
			expect(await look()).toEqual(before);
		}
		expect((await changed.up()).exitCode).toBe(0);
		expect(await onVm("docker exec registry-nginx nginx -T 2>/dev/null")).toContain(`# ${folder}`);
	});
});

describe("two updates at once", () => {
	it("the second is refused, and the first one's outcome stands", async () => {
		await using other = await variant();
		await onVm("sed -i 's/server_tokens off;/server_tokens on;/' /opt/registry/nginx.conf");
		await arm("hold", "never", "docker restart registry-nginx");
		const first = up();
		await until("the first update is under way", 60, async () => (await onVm("ls /run/fault")).includes("reached"));
		const second = await other.up();
		expect(second.exitCode).not.toBe(0);
		expect(second.output).toMatch(/locked|another update|conflict/i);
		await disarm();
		expect((await first).exitCode).toBe(0);
		expect((await drift()).exitCode).toBe(0);
	});
});
