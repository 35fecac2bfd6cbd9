/** The page with all that there is, made of the config. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const services = (stack: string) => spawnSync(process.execPath, ["scripts/services.ts", stack], { encoding: "utf8" });

it("docs/services.md is the page of prod as it is declared now", () => {
	const { stdout, stderr, status } = services("prod");
	expect(status, stderr).toBe(0);
	expect(readFileSync("docs/services.md", "utf8")).toBe(stdout);
});

it("has every port, every secret without its value, and a runbook that is there for each alert", () => {
	const { stdout } = services("prod");
	for (const port of [5000, 5001, 5010, 5020, 5030, 5040, 5050, 8080])
		expect(stdout).toContain(`| docker-registry:${port} |`);
	for (const secret of ["registryPassword", "dockerhubPassword", "tlsPrivateKey", "login key of pve"])
		expect(stdout).toContain(secret);
	expect(stdout).not.toMatch(/BEGIN|\(secret /);
	const links = [...stdout.matchAll(/\]\((runbooks\/[\w-]+\.md)#([\w-]+)\)/g)];
	expect(links.length).toBeGreaterThan(15);
	for (const [, file, heading] of links) {
		expect(existsSync(`docs/${file}`), file).toBe(true);
		const headings = readFileSync(`docs/${file}`, "utf8").match(/^## .*$/gm) ?? [];
		const anchors = headings.map((line) =>
			line
				.slice(3)
				.toLowerCase()
				.replace(/[^\w -]/g, "")
				.replaceAll(" ", "-"),
		);
		expect(anchors, file).toContain(heading);
	}
});

it("of a stack that there is not says so", () => {
	const { stderr, status } = services("nowhere");
	expect(status).toBe(1);
	expect(stderr).toContain("there is no stack nowhere");
});
