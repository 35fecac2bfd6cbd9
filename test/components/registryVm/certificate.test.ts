/** A certificate that no client would take is refused, made by openssl. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { certificateProblem } from "../../../components/registryVm/certificate.ts";

const NAME = "registry.example.test";
const DAY = 24 * 3600 * 1000;
let folder: string;
let pem: string;
let made: number;

beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "certificate-test-"));
	const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=other -addext subjectAltName=DNS:*.example.test -keyout ${folder}/key -out ${folder}/pem`;
	execFileSync("openssl", args.split(" "), { stdio: "pipe" });
	pem = readFileSync(join(folder, "pem"), "utf8");
	made = Date.now();
});
afterAll(() => rmSync(folder, { recursive: true }));

it("one that will do for months is neither refused nor warned of, a wildcard's too, with its chain behind it", () => {
	expect(certificateProblem(pem, NAME, made)).toEqual({});
	expect(certificateProblem(`${pem}${pem}`, NAME, made)).toEqual({});
});

it("one that ends within three weeks is warned of, with the days that are left", () => {
	expect(certificateProblem(pem, NAME, made + 80 * DAY).warning).toMatch(/ends in (9|10) days, on \d{4}-\d\d-\d\d/);
});

it("one that has ended, or has not begun, is refused with its date", () => {
	expect(certificateProblem(pem, NAME, made + 91 * DAY).refused).toMatch(/ended on \d{4}-\d\d-\d\d; renew it/);
	expect(certificateProblem(pem, NAME, made - DAY).refused).toMatch(/only begins on \d{4}-\d\d-\d\d/);
});

it("one for another name is refused with its names, and the common name does not count", () => {
	expect(certificateProblem(pem, "registry.elsewhere.test", made).refused).toMatch(/names are DNS:\*\.example\.test/);
	expect(certificateProblem(pem, "other", made).refused).toMatch(/is not for other/);
});

it("what is no certificate is refused", () => {
	expect(certificateProblem("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", NAME, made).refused).toMatch(
		/^tlsCertificate can't be read/,
	);
});
