/** The programs of another release than this machine's, as a folder with its /usr, made once out of its packages. */
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { debianProgram } from "../../../lab/debianProgram.ts";
import { paths } from "../../../lab/paths.ts";
import type { Step } from "../../../lab/run.ts";

/** By name: whose release it is. */
const releases = { trixie: "debian", jammy: "ubuntu", noble: "ubuntu" } as const;
export type Userland = keyof typeof releases;

/** With the keys that sign Ubuntu's archive, which Debian has no package of. */
const KEYRING = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb";
const KEYRING_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8";

/** The release's root folder. Throws a StepError where its packages can't be had. */
export async function userland(step: Step, name: Userland): Promise<string> {
	const root = join(paths.tools, "userlands", name);
	if (await exists(join(root, "usr/bin/curl"))) return root;
	const half = `${root}.half-${process.pid}`;
	await rm(half, { recursive: true, force: true });
	await mkdir(half, { recursive: true });
	const sites = await step.run("apt-get", ["indextargets", "--format", "$(SITE)", "Codename: bookworm"]);
	const debian = (sites.split("\n")[0] ?? "").replace(/\/$/, "");
	const isUbuntu = releases[name] === "ubuntu";
	// Mirrors of the one have the other beside it.
	const mirror = isUbuntu ? debian.replace(/\/debian$/, "/ubuntu") : debian;
	const program = await debianProgram(step, "/usr/sbin/debootstrap", ["debootstrap"]);
	const scripts = join(dirname(program.path), "../share/debootstrap");
	const options = ["--variant=minbase", "--include=openssh-server,e2fsprogs,curl"];
	if (isUbuntu) options.push(`--keyring=${await ubuntuKeyring(step, mirror, half)}`);
	// All of Ubuntu's releases are made in one way, and Debian's debootstrap does not know the newest by name.
	const script = isUbuntu ? [join(scripts, "scripts/gutsy")] : [];
	await step.run(program.path, [...options, name, join(half, "root"), mirror, ...script], {
		env: { DEBOOTSTRAP_DIR: scripts },
	});
	await rm(root, { recursive: true, force: true });
	await rename(join(half, "root"), root);
	await rm(half, { recursive: true });
	return root;
}

async function ubuntuKeyring(step: Step, mirror: string, folder: string): Promise<string> {
	const file = join(folder, "keyring.deb");
	await step.run("curl", ["--silent", "--show-error", "--fail", "--output", file, `${mirror}/${KEYRING}`]);
	const digest = createHash("sha256")
		.update(await readFile(file))
		.digest("hex");
	if (digest !== KEYRING_SHA256)
		throw new Error(`${mirror}/${KEYRING} is not the file that is meant: it has ${digest}`);
	await step.run("dpkg", ["-x", file, folder]);
	return join(folder, "usr/share/keyrings/ubuntu-archive-keyring.gpg");
}

function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}
