/** A copy of an image beside its registry: saved, read by others, and put back where the registry has lost it. */
import { existsSync, statSync, truncateSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { askVm, checkout, env, onVm, run } from "./lab.ts";
import { type Pushed, pushed, STORE, wipe } from "./pushed.ts";

let app: Pushed;
let digest: string;
let file: string;
beforeAll(async () => {
	await wipe();
	app = await pushed("break/glass");
	digest = await app.push("latest");
	file = join(app.folder, "image.tar");
});
afterAll(async () => {
	await app[Symbol.asyncDispose]();
	await wipe();
});

const breakGlass = (...args: string[]) =>
	run("node", ["scripts/breakGlass.ts", "--ca", env("LAB_REGISTRY_CA"), ...args], {
		cwd: checkout,
		env: { REGISTRY_USER: env("LAB_REGISTRY_USER"), REGISTRY_PASSWORD: env("LAB_REGISTRY_PASSWORD") },
	});

it("is saved whole, with the digest that it has in the registry, for root's eyes only", async () => {
	const { exitCode, stdout, output } = await breakGlass("save", `${app.image}:latest`, file);
	expect(exitCode, output).toBe(0);
	expect(stdout).toContain(`${file} has ${app.image}:latest, whole: ${digest}, 4 manifests`);
	expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
});

it("is a file that others read: crane as an OCI layout, and docker load", async () => {
	const layout = join(app.folder, "layout");
	await mkdir(layout);
	expect((await run("tar", ["-xf", file, "-C", layout])).exitCode).toBe(0);
	expect((await app.crane("push", "--index", layout, `${app.image}:crane`)).exitCode).toBe(0);
	expect(await app.isWhole("crane")).toBe(true);
	const { exitCode, output } = await askVm("docker load", { input: await readFile(file) });
	expect(exitCode, output).toBe(0);
	expect(output).toContain(`Loaded image: ${app.image}:latest`);
	await onVm(`docker rmi ${app.image}:latest`);
});

it("is put back into a registry that has lost it, with the same digest, whole", async () => {
	await onVm(`rm -rf ${STORE}`);
	expect(await app.isWhole("latest")).toBe(false);
	const { exitCode, stdout, output } = await breakGlass("load", file, `${app.image}:latest`);
	expect(exitCode, output).toBe(0);
	expect(stdout).toContain(`${app.image}:latest is there again: ${digest}, 4 manifests`);
	expect((await app.crane("digest", `${app.image}:latest`)).stdout).toBe(digest);
	expect(await app.isWhole("latest")).toBe(true);
});

it("a disk that is full is told, and leaves no half file", async () => {
	await run("sh", ["-ec", `mkdir -p ${app.folder}/full && mount -t tmpfs -o size=4k full ${app.folder}/full`]);
	try {
		const { exitCode, output } = await breakGlass("save", `${app.image}:latest`, join(app.folder, "full/image.tar"));
		expect(exitCode).toBe(1);
		expect(output).toContain("full/image.tar can't be written: ENOSPC");
	} finally {
		await run("umount", [`${app.folder}/full`]);
	}
});

it("is not saved where a piece of it is broken: the piece is named, and a copy from before stays", async () => {
	const [platform] = (await app.children("latest")) as [string];
	const [layer] = (await app.manifest(`${app.image}@${platform}`)).layers;
	const before = await readFile(file);
	await onVm(`echo changed >${app.blob(layer.digest)}/data`);
	const { exitCode, output } = await breakGlass("save", `${app.image}:latest`, file);
	expect(exitCode).toBe(1);
	expect(output).toContain(`break/glass ${layer.digest} is broken`);
	expect(await readFile(file)).toEqual(before);
	expect(existsSync(`${file}.half`)).toBe(false);
});

it.each([
	[
		"that was cut off",
		() => truncateSync(file, statSync(file).size - 4096),
		/can't be read|has no image in it, or was cut off/,
	],
	["that is not there", () => {}, /ENOENT/],
])("a file %s is refused, in words", async (what, damage, message) => {
	damage();
	const { exitCode, output } = await breakGlass(
		"load",
		what === "that is not there" ? `${file}x` : file,
		`${app.image}:again`,
	);
	expect(exitCode).toBe(1);
	expect(output).toMatch(message);
	expect(output).not.toContain("    at ");
	expect((await app.crane("digest", `${app.image}:again`)).exitCode).not.toBe(0);
});
