/** A part of somebody else's YAML file: some keys of one mapping. All other bytes of the file stay as they are. */
import { isDeepStrictEqual } from "node:util";
import { isMap, isSeq, type Node, type Pair, parseDocument, type Scalar, stringify, type YAMLMap } from "yaml";

/** The file's text can't be read or changed as asked; the message says why. */
export class YamlPartError extends Error {}

type Values = Record<string, unknown>;

/**
 * What the file has at `yamlPath` (keys from the root to the mapping) of the keys that `declared` has, a YAML mapping,
 * as YAML in the same order. Throws a YamlPartError where the text is not YAML.
 */
export function readPart(text: string, yamlPath: string[], declared: string): string {
	const found = at(plain(text), yamlPath) ?? {};
	const keys = Object.keys(plain(declared)).filter((key) => key in found);
	return stringify(Object.fromEntries(keys.map((key) => [key, found[key]])));
}

/**
 * The text with the keys of `declared`, a YAML mapping, as it has them. The mapping itself may be new; the one it is
 * in has to be there. Throws a YamlPartError where it is not, or where nothing else would stay as it is.
 */
export function writePart(text: string, yamlPath: string[], declared: string): string {
	const [outer, name] = [yamlPath.slice(0, -1), yamlPath.at(-1) as string];
	const [was, wanted, values] = [plain(text), plain(text), plain(declared)];
	const holder = at(wanted, outer);
	if (holder === undefined) throw new YamlPartError(`it has no ${outer.join(".")}`);
	const there = at(was, yamlPath);
	holder[name] = { ...there, ...values };
	const result =
		there === undefined
			? set(text, outer, name, values)
			: Object.entries(values)
					.filter(([key, value]) => !isDeepStrictEqual(there[key], value))
					.reduce((sofar, [key, value]) => set(sofar, yamlPath, key, value), text);
	if (!isDeepStrictEqual(plain(result), wanted))
		throw new YamlPartError(`${yamlPath.join(".")} can't be changed on its own; change it by hand once`);
	return result;
}

/** As JSON has it: where YAML has one value in two places, they are two here. */
function plain(text: string): Values {
	return JSON.parse(JSON.stringify(parse(text).toJS() ?? {}));
}

function parse(text: string) {
	const document = parseDocument(text);
	const [error] = document.errors;
	if (error !== undefined) throw new YamlPartError(`it is not YAML: ${error.message.split("\n")[0]}`);
	return document;
}

/** The mapping there, if there is one. */
function at(root: Values, path: string[]): Values | undefined {
	const value = path.reduce<unknown>((value, key) => (value as Values | null | undefined)?.[key], root);
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Values) : undefined;
}

function set(text: string, path: string[], key: string, value: unknown): string {
	const map = parse(text).getIn(path, true);
	if (!isMap(map)) return text;
	const pair = (map as YAMLMap<Scalar, Node | null>).items.find((one) => one.key.value === key);
	return pair?.value ? replace(text, pair.value, value) : insert(text, map as YAMLMap<Scalar>, key, value);
}

function replace(text: string, node: Node, value: unknown): string {
	const [start, end] = node.range as [number, number, number];
	const inLines = isSeq(node) && !node.flow && Array.isArray(value);
	const written = inLines ? value.map((item) => `- ${flow(item)}`).join(`\n${indentation(text, start)}`) : flow(value);
	const [space, newline] = [text[start - 1] === ":" ? " " : "", text[end - 1] === "\n" ? "\n" : ""];
	return text.slice(0, start) + space + written + newline + text.slice(end);
}

/** As the first key of a mapping. */
function insert(text: string, { flow: inBraces, range, items }: YAMLMap<Scalar>, key: string, value: unknown): string {
	const [first] = items as Pair<Scalar>[];
	const position = (inBraces ? (range?.[0] ?? 0) + 1 : first?.key.range?.[0]) ?? 0;
	const entry = `${flow(key)}: ${flow(value)}`;
	const inserted = inBraces
		? ` ${entry}${first === undefined ? " " : ","}`
		: `${entry}\n${indentation(text, position)}`;
	return text.slice(0, position) + inserted + text.slice(position);
}

function indentation(text: string, position: number): string {
	return " ".repeat(position - (text.lastIndexOf("\n", position - 1) + 1));
}

function flow(value: unknown): string {
	return stringify(value, { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 }).trim();
}
