/** The Debian packages that this machine itself has to have. */
import { findEngine } from "./engine.ts";
import { type Step, StepError } from "./run.ts";

/** Installs what a bare Debian lacks; elsewhere it only says what is missing. */
export async function installPackages(step: Step): Promise<string> {
	const engineAnswers = (await findEngine(step)) !== undefined;
	const wanted: [program: string, pkg: string][] = [
		["ssh-keygen", "openssh-client"],
		["openssl", "openssl"],
		["curl", "curl"], // An independent client, for the tests.
		["shellcheck", "shellcheck"],
		...(engineAnswers
			? []
			: ([
					["dockerd", "docker.io"],
					["iptables", "iptables"],
					["ip", "iproute2"],
				] as [string, string][])),
		["debootstrap", "debootstrap"],
	];
	const missing: [string, string][] = [];
	for (const entry of wanted) if (!(await step.ask("sh", ["-c", `command -v ${entry[0]}`]))) missing.push(entry);
	if (missing.length === 0) return "all there";
	const debianRoot = await step.ask("sh", ["-c", "[ $(id -u) = 0 ] && command -v apt-get"]);
	if (!debianRoot) {
		const needed = missing.filter(([program]) => program !== "debootstrap");
		if (needed.length === 0) return "all there";
		throw new StepError(
			`this machine lacks ${needed.map(([program]) => program).join(", ")}; install ${needed.map(([, pkg]) => pkg).join(", ")}, or run make lab as root on Debian`,
		);
	}
	const packages = missing.map(([, pkg]) => pkg);
	const env = { DEBIAN_FRONTEND: "noninteractive" };
	const patiently = ["-q", "-o", "DPkg::Lock::Timeout=300"]; // One that outlived a killed make may still be at it.
	await step.run("dpkg", ["--configure", "-a"], { env });
	await step.run("apt-get", ["update", ...patiently], { env });
	await step.run("apt-get", ["install", "-y", ...patiently, "--no-install-recommends", ...packages], { env });
	return `installed ${packages.join(", ")}`;
}
