import bcrypt from "bcryptjs";
import { describe, expect, it } from "vitest";
import { htpasswd } from "../../../components/registryVm/htpasswd.ts";

describe("htpasswd", () => {
	it("is one bcrypt entry that the password opens, and no other", () => {
		const [user, hash] = htpasswd("pusher", "correct horse").trim().split(":") as [string, string];
		expect(user).toBe("pusher");
		expect(bcrypt.compareSync("correct horse", hash)).toBe(true);
		expect(bcrypt.compareSync("correct hors", hash)).toBe(false);
	});

	it("costs little to check where the password can't be guessed, and much where it can", () => {
		const cost = (password: string) => htpasswd("a", password).split("$")[2];
		expect(cost("x".repeat(20))).toBe("04");
		expect(cost("x".repeat(19))).toBe("10");
	});

	it("stays as it is while user and password do", () => {
		expect(htpasswd("pusher", "correct horse")).toBe(htpasswd("pusher", "correct horse"));
	});

	it("shares no salt between users or passwords", () => {
		const salts = [htpasswd("a", "x"), htpasswd("b", "x"), htpasswd("a", "y")].map((entry) =>
			entry.split("$")[3]?.slice(0, 22),
		);
		expect(new Set(salts).size).toBe(3);
	});
});
