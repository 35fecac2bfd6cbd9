/** What the program says of an estate that is as declared, and of one that was changed by hand. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STACK } from "../../lab/estate.ts";
import { begin, containers, drift, env, leave, type Outcome, onVm, pulumi, up, type Variant, variant } from "./lab.ts";

const NGINX = "/opt/registry/nginx.conf";

/** What ran, and how often somebody logged in to the VM for it. */
async function countingLogins(ran: () => Promise<Outcome>): Promise<{ outcome: Outcome; logins: number }> {
	const all = async () =>
		Number(await onVm("journalctl --quiet --output cat --unit ssh | grep -c '^Accepted publickey'"));
	const before = await all();
	const outcome = await ran();
	return { outcome, logins: (await all()) - before - 1 };
}

beforeAll(begin);
afterAll(leave);

describe("an estate as declared", () => {
	it("needs nothing: a second up changes nothing and restarts nobody", async () => {
		const before = await containers();
		const { outcome, logins } = await countingLogins(up);
		expect(outcome.output).toMatch(/Resources:\n +\d+ unchanged\n/);
		expect(logins, "one for all that is asked").toBe(1);
		expect(await containers()).toEqual(before);
	});
});

describe("a change by hand", () => {
	it("is shown line by line, fails the drift check, and is undone by the next up", async () => {
		const before = await onVm(`cat ${NGINX}`);
		await onVm(`sed -i 's/server_tokens off;/server_tokens on;/' ${NGINX}`);
		const { outcome: found, logins: asked } = await countingLogins(drift);
		expect(asked).toBe(1);
		expect(found.exitCode).not.toBe(0);
		expect(found.output).toMatch(/^\s*-\s+server_tokens on;$/m);
		expect(found.output).toMatch(/^\s*\+\s+server_tokens off;$/m);
		expect(found.output).toContain("no changes were expected");

		const { outcome, logins } = await countingLogins(up);
		expect(await onVm(`cat ${NGINX}`)).toBe(before);
		const commands = new Set(
			[...outcome.output.matchAll(/command:remote:Command (\S+) (created|updated|replaced)/g)].map(([, name]) => name),
		);
		expect(commands.size).toBeGreaterThan(1);
		expect(logins, `one for the files, and one for each of ${[...commands].join(", ")}`).toBe(1 + commands.size);
	});

	const changes = [
		["a deleted file", "rm /opt/registry/config-quay.yml", "/opt/registry/config-quay.yml"],
		["a changed mode", "chmod 0666 /opt/registry/config-ghcr.yml", '"0666" => "0644"'],
		["a changed owner", "chown nobody /opt/registry/config-k8s.yml", '"nobody:root" => "root:root"'],
		["a file replaced by a link", `cp ${NGINX} /tmp/n && ln -sf /tmp/n ${NGINX}`, "a symlink to /tmp/n"],
		[
			"a line that is gone from the crontab",
			"sed -i /cleanup-tags/d /etc/cron.d/registry",
			"cleanup-tags.sh --keep 10",
		],
		["a unit that is disabled", "systemctl disable docker-compose-registry.service", "disabled"],
	] as const;

	it("each is seen, whatever else was changed, and all are repaired", async () => {
		const state = `stat -c '%n %a %U %F' /opt/registry/* /opt/registry/tls/*; sha256sum /opt/registry/*.* /etc/cron.d/registry
			systemctl is-enabled docker-compose-registry.service`;
		const before = await onVm(state);
		for (const [, change] of changes) await onVm(change);
		const found = await drift();
		expect(found.exitCode).not.toBe(0);
		for (const [what, , shown] of changes) expect(found.output, what).toContain(shown);
		await up();
		expect(await onVm(state)).toBe(before);
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
	});

	it("leaves nothing to do once it is repaired", async () => {
		expect((await drift()).exitCode).toBe(0);
	});
});

describe("containers", () => {
	const strays = `name: other
services: { x: { image: registry:2.8.3, container_name: stray, networks: [registry] } }
networks: { registry: { external: true } }
`;

	const changes = [
		[
			"a stray container of another compose file",
			`printf '%s' '${strays}' >/run/other.yml && docker compose --progress quiet --file /run/other.yml up --detach`,
			"stray registry:2.8.3 running",
		],
		["a stopped container", "docker stop registry-quay", "registry-quay registry:2.8.3 exited"],
		["a container that is gone", "docker rm --force registry-k8s", "registry-k8s registry:2.8.3 running"],
		[
			"a container that runs another image",
			"docker tag registry:2.8.3 registry:other && docker rm --force registry-ui && docker run --detach --name registry-ui registry:other",
			"registry-ui registry:other running",
		],
	] as const;

	it("each change is seen, whatever else was changed, and all are repaired", async () => {
		for (const [, change] of changes) await onVm(change);
		const found = await drift();
		expect(found.exitCode).not.toBe(0);
		for (const [what, , shown] of changes) expect(found.output, what).toContain(shown);
		const containersBefore = await containers();
		await up();
		// Who was all right is left alone.
		expect((await containers())["registry-ghcr"]).toEqual(containersBefore["registry-ghcr"]);
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
	});

	it("leaves nothing to do once it is repaired", async () => {
		expect((await drift()).exitCode).toBe(0);
	});
});

describe("an image that is declared with its digest, and by its whole name", () => {
	let changed: Variant;
	beforeAll(async () => {
		changed = await variant();
	});
	afterAll(async () => {
		await changed[Symbol.asyncDispose]();
		await onVm(`docker logout localhost:5050
			rm -rf /opt/registry/data/private/docker/registry/v2/repositories/pinned`);
	});

	it("is that image: once it runs, there is nothing to do", async () => {
		const [user, password] = [env("LAB_REGISTRY_USER"), env("LAB_REGISTRY_PASSWORD")];
		const own = "localhost:5050/pinned/ui:1";
		// An image has a digest once it was pushed or pulled.
		await onVm(`docker login localhost:5050 --username '${user}' --password '${password}' 2>/dev/null
			docker tag joxit/docker-registry-ui:lab ${own} && docker push --quiet ${own}`);
		const digests = await onVm(`docker inspect --format '{{join .RepoDigests " "}}' ${own}`);
		const digest = /localhost:5050\/pinned\/ui@(sha256:[0-9a-f]{64})/.exec(digests)?.[1];
		await changed.configure((config) => {
			const images = config["homelab-registry:images"] as Record<string, string>;
			images["ui"] = `${own}@${digest}`;
			images["registry"] = "docker.io/library/registry:2.8.3";
		});
		const { exitCode, output } = await changed.up();
		expect(exitCode, output).toBe(0);
		const args = ["preview", "--refresh", "--diff", "--expect-no-changes", "--stack", STACK];
		const again = await pulumi(args, changed.folder);
		expect(again.exitCode, again.output).toBe(0);
	});
});
