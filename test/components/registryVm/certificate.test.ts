/** A certificate that no client would take is refused, made by openssl. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { certificateFingerprint, certificateProblem } from "../../../components/registryVm/certificate.ts";

const NAME = "registry.example.test";
const DAY = 24 * 3600 * 1000;
let folder: string;
let pair: { tlsCertificate: string; tlsPrivateKey: string };
let made: number;

beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "certificate-test-"));
	const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=other -addext subjectAltName=DNS:*.example.test -keyout ${folder}/key -out ${folder}/pem`;
	execFileSync("openssl", args.split(" "), { stdio: "pipe" });
	const text = (name: string) => readFileSync(join(folder, name), "utf8");
	pair = { tlsCertificate: text("pem"), tlsPrivateKey: text("key") };
	made = Date.now();
});
afterAll(() => rmSync(folder, { recursive: true }));

it("one that will do for months is neither refused nor warned of, a wildcard's too, with its chain behind it", () => {
	expect(certificateProblem(pair, NAME, made)).toEqual({});
	expect(certificateProblem({ ...pair, tlsCertificate: pair.tlsCertificate.repeat(2) }, NAME, made)).toEqual({});
});

it("one that ends within three weeks is warned of, with the days that are left", () => {
	expect(certificateProblem(pair, NAME, made + 80 * DAY).warning).toMatch(/ends in (9|10) days, on \d{4}-\d\d-\d\d/);
});

it("one that has ended, or has not begun, is refused with its date", () => {
	expect(certificateProblem(pair, NAME, made + 91 * DAY).refused).toMatch(/ended on \d{4}-\d\d-\d\d; renew it/);
	expect(certificateProblem(pair, NAME, made - DAY).refused).toMatch(/only begins on \d{4}-\d\d-\d\d/);
});

it("one for another name is refused with its names, and the common name does not count", () => {
	expect(certificateProblem(pair, "registry.elsewhere.test", made).refused).toMatch(/names are DNS:\*\.example\.test/);
	expect(certificateProblem(pair, "other", made).refused).toMatch(/is not for other/);
});

it("what is no certificate is refused, and what is no key", () => {
	const broken = (label: string) => `-----BEGIN ${label}-----\nx\n-----END ${label}-----\n`;
	const problem = (changed: object) => certificateProblem({ ...pair, ...changed }, NAME, made).refused;
	expect(problem({ tlsCertificate: broken("CERTIFICATE") })).toMatch(/^tlsCertificate can't be read/);
	expect(problem({ tlsPrivateKey: broken("PRIVATE KEY") })).toMatch(/^tlsPrivateKey can't be read/);
});

it("a key of another certificate is refused, and one that is encrypted", () => {
	const openssl = (args: string) => execFileSync("openssl", args.split(" "), { encoding: "utf8", stdio: "pipe" });
	const other = openssl("genpkey -algorithm ed25519");
	expect(certificateProblem({ ...pair, tlsPrivateKey: other }, NAME, made).refused).toBe(
		"tlsPrivateKey is not the key of tlsCertificate: set the two that were made together",
	);
	const encrypted = openssl("genpkey -algorithm ed25519 -aes-128-cbc -pass pass:secret");
	expect(certificateProblem({ ...pair, tlsPrivateKey: encrypted }, NAME, made).refused).toMatch(/unencrypted$/);
});

it("its fingerprint is the one that openssl prints", () => {
	const printed = execFileSync("openssl", ["x509", "-noout", "-fingerprint", "-sha256", "-in", join(folder, "pem")]);
	expect(printed.toString().trim().split("=")[1]).toBe(certificateFingerprint(pair.tlsCertificate));
	expect(certificateFingerprint("no certificate")).toBeUndefined();
});
