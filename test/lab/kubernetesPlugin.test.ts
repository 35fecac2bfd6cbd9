/**
 * What the program relies on in the published `kubernetes` plugin, and has to cope with. The same suite has to pass with
 * the published plugin (LAB_PLUGINS) and with the lab's stand-in.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { kubectl } from "../../lab/cluster.ts";
import { checkout, docker, env, pulumi } from "./lab.ts";

const NAMESPACE = "plugin-test";
let folder: string;
let environment: Record<string, string>;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "kubernetes-test-"));
	await mkdir(join(folder, "state"));
	await mkdir(join(folder, "tmp"));
	await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
	await writeFile(
		join(folder, "Pulumi.yaml"),
		"name: kubernetes-test\nruntime:\n  name: nodejs\n  options: { typescript: false }\n",
	);
	await writeFile(join(folder, "package.json"), '{ "type": "module", "main": "index.js" }');
	await writeFile(
		join(folder, "index.js"),
		`import { readFileSync } from "node:fs";
import * as kubernetes from "@pulumi/kubernetes";
const { provider, data } = JSON.parse(readFileSync("args.json", "utf8"));
const metadata = { name: "it", namespace: "${NAMESPACE}" };
// Left alone, the SDK hands the plugin what KUBECONFIG says.
const transformations = [({ props, opts }) => ({ props: { ...props, kubeconfig: provider.kubeconfig }, opts })];
const cluster = new kubernetes.Provider("cluster", provider, { transformations });
new kubernetes.core.v1.ConfigMap("it", { metadata, data }, { provider: cluster });
`,
	);
	environment = { PULUMI_BACKEND_URL: `file://${join(folder, "state")}`, TMPDIR: join(folder, "tmp") };
	await pulumi(["stack", "init", "test"], folder, environment);
	await docker(...kubectl("create", "namespace", NAMESPACE));
});
afterAll(async () => {
	await docker(...kubectl("delete", "namespace", NAMESPACE));
	await rm(folder, { recursive: true });
});

async function declare(data: object, provider: object) {
	await writeFile(join(folder, "args.json"), JSON.stringify({ data, provider }));
}
async function up(data: object, provider: object = {}) {
	await declare(data, provider);
	return pulumi(["up", "--yes", "--skip-preview", "--stack", "test"], folder, environment);
}
async function preview(data: object, provider: object) {
	await declare(data, provider);
	return pulumi(["preview", "--stack", "test"], folder, environment);
}
const live = async () =>
	(await docker(...kubectl("--namespace", NAMESPACE, "get", "configmap", "it", "--output", "jsonpath={.data.a}")))
		.stdout;
const left = async () => (await readdir(join(folder, "tmp"))).filter((name) => name.startsWith("kubeconfig"));

it("creates, with the kubeconfig of the environment, and leaves no copy of it", async () => {
	const { exitCode, output } = await up({ a: "1" });
	expect(exitCode, output).toBe(0);
	expect(await live()).toBe("1");
	expect(await left()).toEqual([]);
});

it("refuses a context that is not there", async () => {
	const { exitCode } = await up({ a: "2" }, { context: "nowhere" });
	expect(exitCode).not.toBe(0);
	expect(await live()).toBe("1");
});

it("leaves a copy of a kubeconfig that it is handed, token and all: so the program hands it none (test/lab/secrets.test.ts looks)", async () => {
	const kubeconfig = await readFile(env("KUBECONFIG"), "utf8");
	expect((await up({ a: "3" }, { kubeconfig })).exitCode).toBe(0);
	expect(await live()).toBe("3");
	const [copy] = await left();
	expect(await readFile(join(folder, "tmp", copy as string), "utf8")).toContain("token:");
});

it("does not take over an object that somebody else made", async () => {
	await pulumi(["state", "delete", "--all", "--yes", "--force", "--stack", "test"], folder, environment);
	const { exitCode, output } = await up({ a: "4" });
	expect(exitCode).not.toBe(0);
	expect(output).toContain("already exists");
	expect(await live()).toBe("3");
});

/** Writes that into the object, as somebody else. */
const write = (manager: string, value: string) =>
	docker(
		...kubectl("--namespace", NAMESPACE, "patch", "configmap", "it", "--field-manager", manager),
		...["--type", "merge", "--patch", `{"data":{"a":"${value}"}}`],
	);
const uid = async () =>
	(await docker(...kubectl("--namespace", NAMESPACE, "get", "configmap", "it", "--output", "jsonpath={.metadata.uid}")))
		.stdout;

it("takes it over where it is told to, but for what others have set otherwise: so the program says that, too", async () => {
	await write("Terraform", "theirs");
	const { exitCode, output } = await up({ a: "4" }, { upsertExistingObjects: true });
	expect(exitCode).not.toBe(0);
	expect(output).toMatch(/field conflict[\s\S]*conflict with "Terraform"/);
	expect(await live()).toBe("theirs");
});

it("takes it over without a word where it is told to: so the program says it before (test/lab/takeOver.test.ts looks)", async () => {
	const { exitCode, output } = await up({ a: "4" }, { upsertExistingObjects: true, enablePatchForce: true });
	expect(exitCode, output).toBe(0);
	expect(await live()).toBe("4");
});

it("deletes a ConfigMap whose data changes and makes it anew, unless it is told to change it: so the program tells it to", async () => {
	const before = await uid();
	expect((await up({ a: "5" }, { enableConfigMapMutable: true })).exitCode).toBe(0);
	expect([await live(), await uid()]).toEqual(["5", before]);
	const { exitCode, output } = await up({ a: "6" });
	expect(exitCode, output).toBe(0);
	expect(await live()).toBe("6");
	expect(await uid()).not.toBe(before);
});

it.each([
	["kubectl-edit", {}, "fails", "8"],
	["a-dashboard", {}, "fails", "by hand"],
	["a-dashboard", { enablePatchForce: true }, "succeeds", "8"],
])("where %s changed it by hand, with %j: a preview %s, and after the next update it has %j", async (...row) => {
	const [manager, settings, previewed, value] = row;
	const mutable = { enableConfigMapMutable: true, ...settings };
	expect((await up({ a: "7" }, mutable)).exitCode).toBe(0);
	await write(manager, "by hand");
	expect((await preview({ a: "8" }, mutable)).exitCode === 0).toBe(previewed === "succeeds");
	const { exitCode, output } = await up({ a: "8" }, mutable);
	expect(exitCode === 0, output).toBe(value === "8");
	expect(await live()).toBe(value);
	await write("kubectl", "8");
});
