import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readPart, writePart } from "../../host/yamlPart.ts";

const WITHIN = ["network", "ethernets", "eth0", "nameservers"];
const DECLARED = `addresses:
  - 10.0.20.1
  - 94.140.14.14
search:
  - viktorbarzin.lan
`;

/** As cloud-init, Subiquity and people write it. */
const files: [what: string, before: string, after: string][] = [
	[
		"cloud-init's own style, with comments everywhere",
		`# generated
network:
  version: 2
  ethernets:
    eth0:
      addresses:
      - "10.0.20.10/24"
      nameservers: # ours
        # before
        addresses: # these
        - 10.0.20.7  # old
        - 1.1.1.1
        # between
        search:
        - old.lan
      routes:
      - to: "default"
        via:   10.0.20.1   # three spaces
`,
		`# generated
network:
  version: 2
  ethernets:
    eth0:
      addresses:
      - "10.0.20.10/24"
      nameservers: # ours
        # before
        addresses: # these
        - 10.0.20.1
        - 94.140.14.14
        # between
        search:
        - viktorbarzin.lan
      routes:
      - to: "default"
        via:   10.0.20.1   # three spaces
`,
	],
	[
		"a mapping in braces with one of the keys",
		"network:\n  ethernets:\n    eth0: {dhcp4: true, nameservers: {addresses: [1.1.1.1]}}\n",
		"network:\n  ethernets:\n    eth0: {dhcp4: true, nameservers: { search: [viktorbarzin.lan],addresses: [10.0.20.1, 94.140.14.14]}}\n",
	],
	[
		"an empty mapping",
		"network: {ethernets: {eth0: {}}}",
		"network: {ethernets: {eth0: { nameservers: {addresses: [10.0.20.1, 94.140.14.14], search: [viktorbarzin.lan]} }}}",
	],
	[
		"a key without a value",
		"network:\n  ethernets:\n    eth0:\n      nameservers:\n      dhcp4: true\n",
		"network:\n  ethernets:\n    eth0:\n      nameservers: {addresses: [10.0.20.1, 94.140.14.14], search: [viktorbarzin.lan]}\n      dhcp4: true\n",
	],
	[
		"no name servers at all",
		"network:\n  ethernets:\n    eth0:\n      # first\n      dhcp4: true   # yes\n",
		"network:\n  ethernets:\n    eth0:\n      # first\n      nameservers: {addresses: [10.0.20.1, 94.140.14.14], search: [viktorbarzin.lan]}\n      dhcp4: true   # yes\n",
	],
	[
		"what is already so, in other quotes and order",
		"network:\n  ethernets:\n    eth0:\n      nameservers:\n        search: ['viktorbarzin.lan']\n        addresses: [\"10.0.20.1\", 94.140.14.14]\n",
		"network:\n  ethernets:\n    eth0:\n      nameservers:\n        search: ['viktorbarzin.lan']\n        addresses: [\"10.0.20.1\", 94.140.14.14]\n",
	],
	[
		"no newline at the end",
		"network:\n  ethernets:\n    eth0:\n      nameservers:\n          search: [viktorbarzin.lan]\n          addresses:\n              - 1.1.1.1",
		"network:\n  ethernets:\n    eth0:\n      nameservers:\n          search: [viktorbarzin.lan]\n          addresses:\n              - 10.0.20.1\n              - 94.140.14.14",
	],
	[
		"another interface with the same text",
		"network:\n  ethernets:\n    eth1:\n      nameservers:\n        addresses: [1.1.1.1]\n    eth0:\n      nameservers:\n        addresses: [1.1.1.1]\n        search: [viktorbarzin.lan]\n",
		"network:\n  ethernets:\n    eth1:\n      nameservers:\n        addresses: [1.1.1.1]\n    eth0:\n      nameservers:\n        addresses: [10.0.20.1, 94.140.14.14]\n        search: [viktorbarzin.lan]\n",
	],
];

describe("writePart", () => {
	it.each(files)("changes our two keys and no other byte: %s", (_, before, after) => {
		expect(writePart(before, WITHIN, DECLARED)).toBe(after);
		expect(readPart(after, WITHIN, DECLARED)).toBe(DECLARED);
		expect(writePart(after, WITHIN, DECLARED)).toBe(after);
		const [was, is] = [parse(before), parse(after)];
		for (const text of [was, is]) delete text.network.ethernets.eth0.nameservers;
		expect(is).toEqual(was);
	});

	it.each([
		["an interface that is not there", "network:\n  ethernets:\n    ens3: {}\n", "it has no network.ethernets.eth0"],
		["an empty file", "", "it has no network.ethernets.eth0"],
		["what is no YAML", "network: [", "it is not YAML"],
		[
			"an interface that is the alias of another",
			"network:\n  ethernets:\n    eth1: &a\n      dhcp4: true\n    eth0: *a\n",
			"network.ethernets.eth0.nameservers can't be changed on its own",
		],
		[
			"one that another is an alias of",
			"network:\n  ethernets:\n    eth0: &a\n      nameservers: {addresses: [1.1.1.1]}\n    eth1: *a\n",
			"network.ethernets.eth0.nameservers can't be changed on its own",
		],
	])("refuses %s", (_, text, message) => {
		expect(() => writePart(text, WITHIN, DECLARED)).toThrow(message);
	});
});

describe("readPart", () => {
	it("has only the declared keys, in the declared order, and says what is missing by not having it", () => {
		const text =
			"network:\n  ethernets:\n    eth0:\n      nameservers: {search: [a], other: 1, addresses: [1.1.1.1]}\n";
		expect(readPart(text, WITHIN, DECLARED)).toBe("addresses:\n  - 1.1.1.1\nsearch:\n  - a\n");
		expect(readPart("network: 5", WITHIN, DECLARED)).toBe("{}\n");
	});

	it("refuses what is no YAML", () => {
		expect(() => readPart("a: [", WITHIN, DECLARED)).toThrow("it is not YAML");
	});
});
