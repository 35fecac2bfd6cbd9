import { expect, it } from "vitest";
import { entriesBeside } from "../../components/cluster.ts";

const cronJob = (pod: object) => ({ jobTemplate: { spec: { template: { spec: pod } } } });
const declared = cronJob({ containers: [{ name: "probe", env: [{ name: "URL", value: "u" }] }] });

it.each([
	["the same container", cronJob({ containers: [{ name: "probe", env: [{ name: "URL", value: "v" }] }] }), []],
	["none", cronJob({}), []],
	[
		"another one, and one that runs before",
		cronJob({ containers: [{ name: "check" }], initContainers: [{ name: "tools" }] }),
		[
			{ list: "containers", entry: "check" },
			{ list: "initContainers", entry: "tools" },
		],
	],
	[
		"a variable of the same container",
		cronJob({ containers: [{ name: "probe", env: [{ name: "ADDED" }, { name: "URL" }] }] }),
		[{ list: "env", entry: "ADDED" }],
	],
	["what has no spec", undefined, []],
])("entries that would stay beside the declared ones: %s", (_, found, beside) => {
	expect(entriesBeside(found, declared)).toEqual(beside);
});
