import { createHash } from "node:crypto";
import bcrypt from "bcryptjs";

/** Passwords that nobody can guess, as a generator makes them, have at least as many characters. */
export const STRONG = 20;

/**
 * What checking the password costs: two to the power of it, at every single request. A cost is there to slow down who
 * guesses. A password that can't be guessed needs none, and 4 is the least that there is: 1 ms of the processor a request,
 * a third of what the registry does for it. 10 is 50 ms.
 */
function costFor(password: string): number {
	return password.length >= STRONG ? 4 : 10;
}

/**
 * An htpasswd file with one bcrypt entry. The salt comes from user and password instead of chance,
 * so that the file, and with it the registry's container, stays as it is while they do.
 */
export function htpasswd(user: string, password: string): string {
	const salt = createHash("sha256").update(`htpasswd\0${user}\0${password}`).digest().subarray(0, 16);
	const cost = String(costFor(password)).padStart(2, "0");
	return `${user}:${bcrypt.hashSync(password, `$2b$${cost}$${bcrypt.encodeBase64(salt, 16)}`)}\n`;
}
