/** Every shell script of this repository, seen by the programs that know shell. */
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { debianProgram } from "../lab/debianProgram.ts";
import { Step } from "../lab/run.ts";

const { stdout } = await execa("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/run"]);
const scripts = stdout.split("\n");
/** Those that run on a host, whose shell may be any that knows POSIX. */
const onHosts = scripts.filter((name) => /^(components|host)\//.test(name));
const step = new Step("shell");

it("there are some on hosts, each beside its concept", () => {
	expect(onHosts.length).toBeGreaterThan(20);
	expect(onHosts.filter((name) => !/^(components\/\w+|host)\/sh\/[\w-]+\.sh$/.test(name))).toEqual([]);
});

it("all are formatted alike", async () => {
	const { exitCode, all } = await execa("node", ["scripts/formatShell.ts", ...scripts], { all: true, reject: false });
	expect(exitCode, all).toBe(0);
});

describe.each([
	["dash", "/bin/dash", ["dash"], []],
	["busybox", "/bin/busybox", ["busybox-static"], ["sh"]],
])("to %s", (_, path, packages, applet) => {
	let shell: string;
	beforeAll(async () => {
		shell = (await debianProgram(step, path, packages)).path;
	});

	it.each(onHosts)("%s is shell", async (name) => {
		const { exitCode, stderr } = await execa(shell, [...applet, "-n", name], { reject: false });
		expect(exitCode, stderr).toBe(0);
	});
});

it("none asks curl for what curl 7.68 of Debian 11 and Ubuntu 20.04 does not know", async () => {
	const { stdout } = await execa("grep", ["-nE", "%header|--retry-all-errors|--json|--fail-with-body", ...onHosts], {
		reject: false,
	});
	expect(stdout).toBe("");
});

it("shellcheck finds nothing in any of them", async () => {
	const { path } = await debianProgram(step, "/usr/bin/shellcheck", ["shellcheck"]);
	const { exitCode, stdout } = await execa(path, ["--external-sources", ...scripts], { reject: false });
	expect(exitCode, stdout).toBe(0);
});
