/** What a scan of the night leaves to the clients of the registry. */
import { expect, it } from "vitest";
import { pace } from "../../../../components/registryVm/upkeep/pace.ts";

it("what is called between two pieces of work takes less than half of a processor", () => {
	const pause = pace();
	const [began, before] = [performance.now(), process.threadCpuUsage()];
	while (performance.now() - began < 400) pause();
	const { user, system } = process.threadCpuUsage(before);
	expect((user + system) / 1000).toBeLessThan((performance.now() - began) / 2);
});
