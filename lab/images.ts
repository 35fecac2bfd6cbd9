/** The lab's images: a Debian base, and what is built on it. Tagged by content, so that nothing is built twice. */
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "./engine.ts";
import { checkout } from "./paths.ts";
import { type Step, StepError } from "./run.ts";
import { builtPath, tools } from "./tools.ts";

const SUITE = "bookworm";

/** What the machines, nginx and the DNS servers need. */
const PACKAGES =
	"systemd systemd-sysv dbus libnss-resolve openssh-server docker.io systemd-resolved netplan.io cron logrotate iproute2 iptables nodejs dnsutils dnsmasq-base curl ca-certificates busybox-static nginx-light procps kmod";

/** Local names; the tag is the hash of what the image is made from. */
export interface Images {
	base: string;
	machine: string;
	registry: string;
	nginx: string;
	ui: string;
}

/** Builds what the engine doesn't have yet; `onBuild` is told what that is. */
export async function buildImages(engine: Engine, step: Step, onBuild: (what: string) => void): Promise<Images> {
	const base = `homelab-lab/base:${digest(SUITE, PACKAGES)}`;
	if (!(await has(engine, step, base))) {
		onBuild(`Debian ${SUITE}`);
		await bootstrap(engine, step, base);
	}
	const build = (name: string, args: Record<string, string>, tool?: string) =>
		buildImage(engine, step, name, args, onBuild, tool);
	const machine = await build("machine", { BASE: base }, "compose");
	const registry = await build("registry", { BASE: base }, "registry");
	const nginx = await build("nginx", { BASE: base });
	const ui = await build("registry-ui", { NGINX: nginx });
	return { base, machine, registry, nginx, ui };
}

async function buildImage(
	engine: Engine,
	step: Step,
	name: string,
	args: Record<string, string>,
	onBuild: (what: string) => void,
	toolName?: string,
): Promise<string> {
	const folder = join(checkout, "lab", "images", name);
	const tool = tools.find((candidate) => candidate.name === toolName);
	const binary = tool && (await builtPath(tool));
	const sources = await Promise.all((await readdir(folder)).sort().map((file) => readFile(join(folder, file), "utf8")));
	// A tool's path has the hash of its manifest in it.
	const image = `homelab-lab/${name}:${digest(...sources, JSON.stringify(args), binary ?? "")}`;
	if (await has(engine, step, image)) return image;
	onBuild(name);
	const context = await mkdtemp(join(tmpdir(), "homelab-lab-"));
	try {
		await cp(folder, context, { recursive: true });
		if (tool && binary) await cp(binary, join(context, tool.binary));
		const buildArgs = Object.entries(args).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
		await engine.docker(step, ["build", "--tag", image, ...buildArgs, context]);
	} finally {
		await rm(context, { recursive: true, force: true });
	}
	return image;
}

/** The base: debootstrap where we are root on Debian, else the same Debian from its official image. */
async function bootstrap(engine: Engine, step: Step, image: string): Promise<void> {
	if (await step.ask("sh", ["-c", "[ $(id -u) = 0 ] && command -v debootstrap"])) {
		const root = await mkdtemp(join(tmpdir(), "homelab-lab-base-"));
		try {
			const mirror = (await step.run("apt-get", ["indextargets", "--format", "$(SITE)", "Codename: bookworm"])).split(
				"\n",
			)[0];
			if (!mirror) throw new StepError("apt knows no mirror for Debian bookworm; run apt-get update");
			await step.run("debootstrap", [
				"--variant=minbase",
				`--include=${PACKAGES.replaceAll(" ", ",")}`,
				SUITE,
				root,
				mirror,
			]);
			await step.run("sh", ["-c", `rm -rf ${root}/var/cache/apt/archives/*.deb ${root}/var/lib/apt/lists/*`]);
			await step.run("sh", ["-c", `tar -C ${root} -c . | docker import - ${image}`], {
				env: { DOCKER_HOST: engine.host },
			});
		} finally {
			await rm(root, { recursive: true, force: true });
		}
		return;
	}
	const context = await mkdtemp(join(tmpdir(), "homelab-lab-"));
	const dockerfile = `FROM debian:${SUITE}-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*
`;
	await mkdir(context, { recursive: true });
	await engine.docker(step, ["build", "--tag", image, "--file", "-", context], { input: dockerfile });
	await rm(context, { recursive: true, force: true });
}

async function has(engine: Engine, step: Step, image: string): Promise<boolean> {
	return (await engine.ask(step, ["image", "inspect", "--format", "{{.Id}}", image])) !== undefined;
}

function digest(...parts: string[]): string {
	return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
}
