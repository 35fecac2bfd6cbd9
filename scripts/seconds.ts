/** An option's value: a whole number of seconds. */
import { InvalidArgumentError } from "commander";

/** Throws commander's error, which names the option, where it is none, or not more than 0. */
export function seconds(text: string): number {
	const value = Number(text);
	if (!Number.isInteger(value) || value <= 0) throw new InvalidArgumentError("It is a number of seconds.");
	return value;
}
