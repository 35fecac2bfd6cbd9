/** What the program says of an estate that is as declared, and of one that was changed by hand. */
import { afterEach, describe, expect, it } from "vitest";
import { containers, drift, onVm, up } from "./lab.ts";

const NGINX = "/opt/registry/nginx.conf";

describe("an estate as declared", () => {
	it("needs nothing: a second up changes nothing and restarts nobody", async () => {
		await up();
		const before = await containers();
		const { output } = await up();
		expect(output).toMatch(/Resources:\n +\d+ unchanged\n/);
		expect(await containers()).toEqual(before);
	});
});

describe("a change by hand", () => {
	afterEach(up);

	it("is shown line by line, fails the drift check, and is undone by the next up", async () => {
		const before = await onVm(`cat ${NGINX}`);
		await onVm(`sed -i 's/server_tokens off;/server_tokens on;/' ${NGINX}`);
		const found = await drift();
		expect(found.exitCode).not.toBe(0);
		expect(found.output).toMatch(/^\s*-\s+server_tokens on;$/m);
		expect(found.output).toMatch(/^\s*\+\s+server_tokens off;$/m);
		expect(found.output).toContain("no changes were expected");

		await up();
		expect(await onVm(`cat ${NGINX}`)).toBe(before);
		expect((await drift()).exitCode).toBe(0);
	});

	it.each([
		["a deleted file", "rm /opt/registry/config-quay.yml", "/opt/registry/config-quay.yml"],
		["a changed mode", "chmod 0666 /opt/registry/config-ghcr.yml", '"0666" => "0644"'],
		["a changed owner", "chown nobody /opt/registry/config-ghcr.yml", '"nobody:root" => "root:root"'],
		["a file replaced by a link", `cp ${NGINX} /tmp/n && ln -sf /tmp/n ${NGINX}`, "a symlink to /tmp/n"],
	])("%s is seen and repaired", async (_, change, shown) => {
		const listing = "stat -c '%n %a %U %F' /opt/registry/* /opt/registry/tls/*; sha256sum /opt/registry/*.*";
		const before = await onVm(listing);
		await onVm(change);
		const found = await drift();
		expect(found.exitCode).not.toBe(0);
		expect(found.output).toContain(shown);
		await up();
		expect(await onVm(listing)).toBe(before);
		expect((await drift()).exitCode).toBe(0);
	});
});
