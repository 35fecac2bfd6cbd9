/** Where the lab keeps its things, all of it outside the checkout. */
import { homedir } from "node:os";
import { join } from "node:path";
import { isFirst } from "./estate.ts";

/** The checkout this lab was started from. */
export const checkout = join(import.meta.dirname, "..");

/** Everything the lab ever writes is below here, but for what has to be in /run. */
export const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "homelab-registry");

const lab = join(cache, isFirst ? "lab" : "second");

export const paths = {
	/** Built tools, one folder a tool and manifest hash. */
	tools: join(cache, "tools"),
	/** Links to the tools in use; this is what goes on PATH. */
	bin: join(cache, "bin"),
	logs: join(cache, isFirst ? "logs" : "logs-second"),
	/** The Docker engine's data, where the lab had to start one. */
	engine: join(cache, "engine"),
	/** Sockets and pid files, in memory: they must not outlive a boot. */
	run: "/run/homelab-registry",
	/** Keys, certificates, Pulumi's home and state: this lab's life. */
	lab,
	keys: join(lab, "keys"),
	pulumiHome: join(lab, "pulumi"),
	state: join(lab, "state"),
} as const;
