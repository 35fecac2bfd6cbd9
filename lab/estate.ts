/** The lab's estate: its network, names, addresses and ports, and nothing that acts. */

/** Everything of the lab in an engine has it, so that none is overlooked when the lab is taken away. */
export const LABEL = "homelab-lab";

/** The network on which the lab's machines meet. */
export const network = { name: "homelab-lab", subnet: "172.30.77.0/24", gateway: "172.30.77.1" };

/** The DNS server of that network, and the zone in which the upstream registries are. */
export const dns = { container: "homelab-lab-dns", address: "172.30.77.2", zone: "upstream.lab" };

/** A public DNS server, which knows what everybody knows, and nothing of the internal zone. */
export const publicDns = { container: "homelab-lab-public-dns", address: "172.30.77.3" };

/** Names that hosts look up, and their addresses: one that only the internal server knows, one that both know. */
export const names = {
	internal: { name: "docker-registry.viktorbarzin.lan", address: "172.30.77.10" },
	external: { name: "www.example.com", address: "203.0.113.80" },
};

/** The host that carries every VM; only its resolver is managed. */
export const proxmox = {
	container: "homelab-lab-proxmox",
	hostname: "pve",
	address: "172.30.77.12",
	sshPort: 20_024,
};

/** The registry that is pushed to. */
export const privateRegistry = { name: "private", port: 5050, hostname: "registry.viktorbarzin.me", maxSize: "100GiB" };

/** The caches, and the upstream registry of each one, which has repositories that no other has. */
export const caches = [
	{ name: "dockerhub", port: 5000, authenticated: true, metricsPort: 5001 },
	{ name: "ghcr", port: 5010 },
	{ name: "quay", port: 5020 },
	{ name: "k8s", port: 5030 },
	{ name: "kyverno", port: 5040 },
].map((cache, i) => ({
	...cache,
	upstream: {
		container: `homelab-lab-upstream-${cache.name}`,
		address: `172.30.77.${20 + i}`,
		url: `http://${cache.name}.${dns.zone}:5000`,
		/** A repository that only this upstream has. */
		repository: `only-on-${cache.name}/image`,
	},
}));

/** The registry VM. Its ports are published on this machine's loopback at 20000 more. */
export const registryVm = {
	container: "homelab-lab-registry",
	hostname: "docker-registry",
	address: "172.30.77.10",
	sshPort: 20022,
	uiPort: 8080,
	subnet: "172.28.50.0/24",
};

/** The Kubernetes cluster, on one machine. */
export const kubernetes = {
	container: "homelab-lab-kubernetes",
	hostname: "kubernetes",
	address: "172.30.77.30",
	/** Of its API, on this machine's loopback. */
	port: 26_443,
};

/** Prometheus and its kin; the name is how the cluster's pods know it, where they have to. */
export const monitoring = {
	prometheus: { container: "homelab-lab-prometheus", address: "172.30.77.31", port: 29_090 },
	pushgateway: {
		container: "homelab-lab-pushgateway",
		address: "172.30.77.32",
		port: 29_091,
		name: "prometheus-prometheus-pushgateway.monitoring",
	},
	alertmanager: { container: "homelab-lab-alertmanager", address: "172.30.77.33", port: 29_093 },
};

/** Where a port of the registry VM is on this machine. */
export function published(port: number): number {
	return port + 20_000;
}

/** What a machine may do: all but what containers can't be given everywhere. */
export const machineCapabilities =
	"AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM".split(
		" ",
	);
