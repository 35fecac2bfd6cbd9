/** Ways that are measured in turn. */
import { expect, it, vi } from "vitest";
import { compare, median } from "../../bench/compare.ts";

vi.spyOn(console, "error").mockImplementation(() => {});

it("each round has each way once, in turn; what the server did is counted apart for each", async () => {
	let requests = 0;
	const meter = { requests: () => (requests += 5), processor: () => requests / 10 };
	const ways = [
		{ name: "quick", command: "true" },
		{ name: "slow", command: "sleep 0.2", meter },
	];
	const [quick, slow] = await compare(ways, 3);
	expect(quick?.seconds).toHaveLength(3);
	expect(median(slow?.seconds ?? [])).toBeGreaterThan(0.19);
	expect(median(quick?.seconds ?? [])).toBeLessThan(median(slow?.seconds ?? []));
	expect([quick?.requests, slow?.requests]).toEqual([0, 5]);
});

it("a way that fails ends it with its words: a quick failure is no speed", async () => {
	const failing = [{ name: "broken", command: "echo the reason >&2; exit 3" }];
	await expect(compare(failing, 1)).rejects.toThrow(/broken ended with 3: the reason/);
});

it("memory is that of all processes of a way, also of those below another one", async () => {
	const node = "node -e 'setTimeout(() => {}, 300)'";
	const ways = [
		{ name: "one", command: node },
		{ name: "three", command: `${node} & sh -c "${node} & wait" & sh -c "${node}; true"; wait` },
	];
	const [one, three] = await compare(ways, 1);
	expect(one?.memory).toBeGreaterThan(20);
	expect(three?.memory).toBeGreaterThan(2.5 * (one?.memory ?? Number.NaN));
});

it("the middle of three is their median, and between the two in the middle of four", () => {
	expect(median([3, 1, 2])).toBe(2);
	expect(median([3, 1, 2, 9])).toBe(2.5);
	expect(median([])).toBeNaN();
});
