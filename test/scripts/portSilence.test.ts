/** How long ports are silent, with servers that come and go. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { freePort } from "../../lab/freePort.ts";
import { inWords, watchPorts } from "../../scripts/portSilence.ts";
import { serve } from "../httpServer.ts";

const answering = (status: () => number, port = 0) => serve((_, response) => response.writeHead(status()).end(), port);

it("a port that is closed for a while was silent for about so long; one that answers, 401 too, was not", async () => {
	const gone = await answering(() => 200);
	const there = await answering(() => 401);
	const stop = await watchPorts([
		{ name: "5000", url: gone.url },
		{ name: "5050", url: there.url },
	]);
	await sleep(300);
	await gone.close();
	await sleep(1000);
	await answering(() => 200, gone.port);
	await sleep(600);
	const silences = await stop();
	expect(silences.get("5050")).toBe(0);
	expect(silences.get("5000")).toBeGreaterThanOrEqual(1000);
	expect(silences.get("5000")).toBeLessThan(2000);
	expect(inWords(silences, [{ name: "5000", url: "" }])).toMatch(/^silent: 5000 for 1\.\d s$/);
});

it("nginx without anybody behind it is silence, and one that stays silent is so until the end", async () => {
	let status = 200;
	const { url } = await answering(() => status);
	const stop = await watchPorts([{ name: "5010", url }]);
	status = 502;
	await sleep(700);
	expect((await stop()).get("5010")).toBeGreaterThanOrEqual(700);
});

it("a port that does not answer from here in the first place is said to be so", async () => {
	const ports = [{ name: "5050", url: `http://127.0.0.1:${await freePort()}` }];
	const silences = await (await watchPorts(ports))();
	expect(inWords(silences, ports)).toBe("how long the ports were silent can't be told from here");
	expect(inWords(new Map(), [])).toBe("there are no ports");
	expect(inWords(new Map([["5000", 0]]), ports)).toBe("no port was silent; 5050 can't be asked from here");
});
