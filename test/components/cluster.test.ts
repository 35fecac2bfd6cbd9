import { expect, it } from "vitest";
import { containersBeside } from "../../components/cluster.ts";

const cronJob = (pod: object) => ({ kind: "CronJob", spec: { jobTemplate: { spec: { template: { spec: pod } } } } });
const declared = cronJob({ containers: [{ name: "probe" }] });

it.each([
	["the same container", cronJob({ containers: [{ name: "probe" }] }), []],
	["none", cronJob({}), []],
	[
		"another one, and one that runs before",
		cronJob({ containers: [{ name: "check" }], initContainers: [{ name: "tools" }] }),
		["check", "tools"],
	],
	["what is no CronJob", { kind: "Secret", data: {} }, []],
])("containers that would go on beside the declared ones: %s", (_, found, beside) => {
	expect(containersBeside(found, declared)).toEqual(beside);
});
