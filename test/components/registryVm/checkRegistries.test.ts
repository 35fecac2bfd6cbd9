/** What check-registries.sh says of a registry that does not serve: of its log, what ended it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";

/** Enough of Docker for a container that has written that log and ended. */
const DOCKER = `#!/bin/sh
case "$1 $*" in
logs*) case $* in *--tail*) tail -n 3 "$LOG" ;; *) cat "$LOG" ;; esac ;;
inspect*State.Running*) echo false ;;
inspect*Config.Image*) exit 1 ;;
esac
`;
const script = join(import.meta.dirname, "../../../components/registryVm/sh/check-registries.sh");

let folder: string;
beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "check-registries-"));
	writeFileSync(join(folder, "docker"), DOCKER, { mode: 0o755 });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function saidOf(...log: string[]): Promise<string> {
	writeFileSync(join(folder, "log"), log.map((line) => `${line}\n`).join(""));
	const command = `staged() { echo "$1"; }; . ${script}`;
	const { stdout, exitCode } = await execa("sh", ["-c", command, "sh", "registry", "x-name", "k8s", "200", "/a\t/b"], {
		reject: false,
		env: { PATH: `${folder}:${process.env["PATH"]}`, LOG: join(folder, "log") },
	});
	expect(exitCode).toBe(1);
	return stdout;
}

const listening = 'time="2026-11-27T22:46:30Z" level=info msg="listening on [::]:5999"';

it("is what it ended with", async () => {
	expect(await saidOf(listening, 'panic: Get "http://127.0.0.1:9/v2/": connection refused')).toBe(
		'registry k8s: panic: Get "http://127.0.0.1:9/v2/": connection refused',
	);
});

it("is how far it came, where nothing went wrong in it, and no count of errors passes for one", async () => {
	const purged = 'time="2026-11-27T22:46:31Z" level=info msg="Purge uploads finished.  Num deleted=0, num errors=1"';
	expect(await saidOf(listening, purged)).toBe(`registry k8s: ${listening}\n${purged}`);
});
