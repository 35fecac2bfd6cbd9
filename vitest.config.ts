import { defineConfig } from "vitest/config";

/**
 * Which lab tests use the second estate, so that two of them can run side by side (test/all.ts). Those of a lane take
 * turns: each begins with its estate as the program declares it.
 */
const second = [
	"badInput",
	"bounce",
	"cachesOnly",
	"crash",
	"damage",
	"drift",
	"dnsFailover",
	"heldPort",
	"incidents",
	"registry",
	"resolvConf",
	"resolved",
	"shapes",
	"upkeep",
	"verify",
].map(inLab);
/** Those that make the first estate anew, or run `make lab`, after its lane. */
const found = ["make", "takeOver"].map(inLab);
/** Those that have a state of their own, and change nothing that either estate has: beside both lanes, at the beginning. */
const apart = ["alerts", "commandPlugin", "emptyMachine", "hostPlugin", "kubernetesPlugin", "state"].map(inLab);
/** Those that stop the lab itself, with both estates. */
const alone = ["engine"].map(inLab);

function inLab(name: string): string {
	return `test/lab/${name}.test.ts`;
}

/** These wait more than they compute. */
const maxWorkers = 4;

/** Machines with a bare sshd, each in a mount namespace of its own. The first one may have to be made out of packages. */
const host = {
	include: ["fileSet", "programs", "resolver"].map((name) => `test/host/sshd/${name}.test.ts`),
	testTimeout: 60_000,
	hookTimeout: 600_000,
	maxWorkers,
};
const userlands = ["trixie", "noble", "jammy"];

const lane = {
	fileParallelism: false,
	testTimeout: 180_000,
	hookTimeout: 180_000,
	setupFiles: "test/lab/environment.ts",
};

export default defineConfig({
	test: {
		reporters: ["default", "./test/closingLine.ts"],
		projects: [
			{
				// No machine.
				test: {
					name: "unit",
					include: ["test/**/*.test.ts"],
					exclude: ["test/lab/**", "test/host/sshd/**"],
					// Beside the tests on machines, what takes a second takes six.
					testTimeout: 30_000,
					maxWorkers,
				},
			},
			{ test: { ...host, name: "host", include: ["test/host/sshd/*.test.ts"] } },
			// The same with the programs of the other releases that are supported.
			...userlands.map((USERLAND) => ({ test: { ...host, name: `host-${USERLAND}`, env: { USERLAND } } })),
			{
				test: {
					...lane,
					name: "lab",
					include: ["test/lab/*.test.ts"],
					exclude: [...second, ...found, ...apart, ...alone],
				},
			},
			{ test: { ...lane, name: "second", include: second, env: { LAB_ESTATE: "second" } } },
			{ test: { ...lane, name: "found", include: found } },
			{ test: { ...lane, name: "apart", include: apart } },
			{ test: { ...lane, name: "alone", include: alone } },
		],
	},
});
