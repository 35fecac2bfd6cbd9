/** The one list from which compose, nginx, the registries' configs and the verification all come. */
import type { Cache, PrivateRegistry, RegistryRole } from "./args.ts";

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
export function registries(role: RegistryRole): Registry[] {
	return [
		...role.caches.map((cache, i): Registry => ({ kind: "cache", ...cache, ...common(cache.name, i) })),
		...(role.private
			? [{ kind: "private" as const, ...role.private, ...common(role.private.name, role.caches.length) }]
			: []),
	];

	function common(name: string, position: number) {
		return { service: `registry-${name}`, address: addressIn(role, 10 + position) };
	}
}

/** An address of the compose network. */
export function addressIn({ subnet }: RegistryRole, last: number): string {
	return subnet.replace("0/24", `${last}`);
}

/** Where the debug server of a cache with a `metricsPort` is, on the containers' network. */
export function debugUrl({ address }: Registry): string {
	return `http://${address}:5001`;
}

/** The one that is pushed to; undefined where there are caches only. */
export function privateRegistry(all: Registry[]): (Registry & { kind: "private" }) | undefined {
	return all.find((registry) => registry.kind === "private");
}

/** Where nginx serves metrics. */
export function metricsPorts(all: Registry[]): number[] {
	return cachesOf(all).flatMap(({ metricsPort }) => (metricsPort === undefined ? [] : [metricsPort]));
}

/** The containers that look names up, each with where it answers and whom it has to reach in order to start. */
export function cacheContainers(role: RegistryRole): { name: string; port: number; upstream: string }[] {
	return cachesOf(registries(role)).map(({ service, port, upstream }) => ({ name: service, port, upstream }));
}

/** The caches alone. */
export function cachesOf(all: Registry[]): (Registry & { kind: "cache" })[] {
	return all.filter((registry) => registry.kind === "cache");
}
