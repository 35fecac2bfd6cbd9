/** npm run status: the estate on one screen, whatever is down. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { proxmox, STACK } from "../../lab/estate.ts";
import { begin, docker, leave, onVm, run } from "./lab.ts";

interface Line {
	subject: string;
	what: string;
	well: boolean;
}

const status = async () => {
	const { exitCode, stdout, output } = await run("node", ["scripts/status.ts", STACK, "--json"]);
	const lines = JSON.parse(stdout) as Line[];
	const of = (subject: string, pattern: RegExp) =>
		lines.filter((line) => line.subject === subject && pattern.test(line.what));
	return { exitCode, output, lines, of };
};

beforeAll(begin);
afterAll(leave);

it("has every host, container and port, the name servers, the certificate, and what is deferred", async () => {
	const { of } = await status();
	expect(of("docker-registry", /^reached in \d+ ms$/)).toHaveLength(1);
	expect(of("docker-registry", /^container .*: Up/)).toHaveLength(8);
	expect(of("docker-registry", /^port \d+: (200|401), answered by (?!nobody)/)).toHaveLength(6);
	expect(of("docker-registry", /^certificate: \d{3} days left$/)).toHaveLength(1);
	expect(of("pve", /^name server .* \(primary\)$/)).toHaveLength(1);
	expect(of("probe", /./)).toHaveLength(1);
	expect(of("truenas", /^deferred since 2026-04-19$/)).toHaveLength(1);
	expect([...of("docker-registry", /./), ...of("pve", /./)].filter(({ well }) => !well)).toEqual([]);
});

it("one host that is down and one container that is stopped cost a line each, and the exit status", async () => {
	await docker("pause", proxmox.container);
	await onVm("docker stop registry-quay");
	const { exitCode, of } = await status();
	await docker("unpause", proxmox.container);
	expect(exitCode).toBe(1);
	expect(of("pve", /can't be reached/)).toEqual([expect.objectContaining({ well: false })]);
	expect(of("docker-registry", /container registry-quay .*: Exited/)).toEqual([
		expect.objectContaining({ well: false }),
	]);
	expect(of("docker-registry", /^port 5020/)).toEqual([expect.objectContaining({ well: false })]);
	expect(of("docker-registry", /^port 5010: 200, answered by ghcr$/)).toHaveLength(1);
});
