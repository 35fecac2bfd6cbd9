/** The one list from which compose, nginx, the registries' configs and the verification all come. */
import type { Cache, Config, PrivateRegistry } from "../../config.ts";

interface Common {
	/** Service, container and upstream name. */
	service: string;
	name: string;
	/** Where nginx serves it on the VM. */
	port: number;
	/** Its fixed address on the compose network. */
	address: string;
}

export type Registry = Common & (({ kind: "cache" } & Cache) | ({ kind: "private" } & PrivateRegistry));

/** All registries, caches first, in the order of the config. */
export function registries(config: Config): Registry[] {
	return [
		...config.caches.map((cache, i): Registry => ({ kind: "cache", ...cache, ...common(cache.name, i) })),
		{ kind: "private", ...config.privateRegistry, ...common(config.privateRegistry.name, config.caches.length) },
	];

	function common(name: string, position: number) {
		return { service: `registry-${name}`, address: config.subnet.replace("0/24", `${10 + position}`) };
	}
}

/** The one that is pushed to. */
export function privateRegistry(all: Registry[]): Registry {
	return all.find(({ kind }) => kind === "private") as Registry; // registries() always has one.
}
