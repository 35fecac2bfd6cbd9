import { createHash } from "node:crypto";
import bcrypt from "bcryptjs";

/**
 * An htpasswd file with one bcrypt entry. The salt comes from user and password instead of chance,
 * so that the file, and with it the registry's container, stays as it is while they do.
 */
export function htpasswd(user: string, password: string): string {
	const salt = createHash("sha256").update(`htpasswd\0${user}\0${password}`).digest().subarray(0, 16);
	return `${user}:${bcrypt.hashSync(password, `$2b$10$${bcrypt.encodeBase64(salt, 16)}`)}\n`;
}
