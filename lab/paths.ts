/** Where the lab keeps its things, all of it outside the checkout. */
import { homedir } from "node:os";
import { join } from "node:path";

/** The checkout this lab was started from. */
export const checkout = join(import.meta.dirname, "..");

/** Everything the lab ever writes is below here, but for what has to be in /run. */
export const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "homelab-registry");

export const paths = {
	/** Built tools, one folder a tool and manifest hash. */
	tools: join(cache, "tools"),
	/** Links to the tools in use; this is what goes on PATH. */
	bin: join(cache, "bin"),
	logs: join(cache, "logs"),
	/** The Docker engine's data, where the lab had to start one. */
	engine: join(cache, "engine"),
	/** Sockets and pid files, in memory: they must not outlive a boot. */
	run: "/run/homelab-registry",
	/** Keys, certificates, Pulumi's home and state: this lab's life. */
	lab: join(cache, "lab"),
	keys: join(cache, "lab", "keys"),
	pulumiHome: join(cache, "lab", "pulumi"),
	state: join(cache, "lab", "state"),
} as const;
