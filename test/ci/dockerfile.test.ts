import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";

const root = new URL("../../", import.meta.url);
const json = async (path: string) => JSON.parse(await readFile(new URL(path, root), "utf8"));

it("the CI image has just the plugins that the packages in package.json ask for", async () => {
	const { dependencies } = await json("package.json");
	const packages = Object.keys(dependencies).filter((name) => name.startsWith("@pulumi/"));
	const asked = await Promise.all(
		packages.map(async (name) => (await json(`node_modules/${name}/package.json`)).pulumi),
	);
	const wanted = asked.filter((plugin) => plugin?.resource).map(({ name, version }) => `${name}@${version}`);
	expect(wanted.length).toBeGreaterThan(0);
	const dockerfile = await readFile(new URL("ci/Dockerfile", root), "utf8");
	expect(/^ARG PLUGINS="(.*)"$/m.exec(dockerfile)?.[1]?.split(" ").sort()).toEqual(wanted.sort());
});
