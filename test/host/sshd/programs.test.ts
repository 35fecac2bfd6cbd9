/** What runs on a registry VM, by the curl, awk and sh of each release that is supported, against real answers. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bounceScript } from "../../../components/registryVm/bounce.ts";
import { envFile, table } from "../../../host/shell.ts";
import { type Machine, startMachine } from "./machine.ts";

let machine: Machine;
let registry: Server;
let port: number;
beforeAll(async () => {
	registry = createServer((request, answer) => {
		const name = request.url === "/v2/" ? "quay" : "";
		answer.writeHead(200, { "X-Registry-Name": name, "Docker-Distribution-Api-Version": "registry/2.0" }).end("{}");
	}).listen(0, "127.0.0.1");
	await once(registry, "listening");
	port = (registry.address() as AddressInfo).port;
	machine = await startMachine();
	await machine.run(`mkdir -p /srv/registry && cat >/srv/registry/bounce.sh`, bounceScript);
	// Settling is FileSet's; here it only has to be called.
	const fileset = "mkdir -p /var/lib/pulumi-host && cat >/var/lib/pulumi-host/fileset.sh";
	await machine.run(fileset, 'echo "fileset $*"\n');
});
afterAll(async () => {
	await machine[Symbol.asyncDispose]();
	registry.close();
});

const verify = async (name: string, at: number) => {
	const values = { FILE_SET: "registry", IDENTITY_HEADER: "X-Registry-Name", REGISTRIES: table([[name, at, ""]]) };
	await machine.run("cat >/srv/registry/bounce.env", envFile(values));
	return machine.run("sh /srv/registry/bounce.sh try-verify compose=r1 </dev/null 2>&1 || echo status $?");
};

describe("bounce.sh verify", () => {
	it("settles where the port answers as the registry that it should be", async () => {
		expect(await verify("quay", port)).toBe("fileset settle registry compose=r1");
	});

	it("names a port that answers as another registry, and settles nothing", async () => {
		const said = await verify("ghcr", port);
		expect(said).toMatch(/should answer 200 as registry ghcr, but: HTTP\/1\.1 200 OK X-Registry-Name: quay/);
		expect(said).toContain("status 1");
		expect(said).not.toContain("settle");
	});

	it("names a port where nobody answers, with curl's words", async () => {
		const said = await verify("quay", 9);
		expect(said).toMatch(/127\.0\.0\.1:9\/v2\/ should answer 200 as registry quay, but: curl: \(7\)/);
		expect(said).toContain("status 1");
	});
});
