/**
 * The lab's estate: its network, names, addresses and ports, and nothing that acts. There are two of them, which share
 * the Docker engine and nothing else, so that tests can use both at once: LAB_ESTATE=second is the other one.
 */

/** True for the estate that `make lab` shows: the one with a cluster and its monitoring. */
export const isFirst = process.env["LAB_ESTATE"] !== "second";

/** What the names of its containers, its network and its folder begin with. */
export const PREFIX = isFirst ? "homelab-lab" : "homelab-second";

/** The Pulumi stack. */
export const STACK = isFirst ? "lab" : "second";

const NETS = { first: "172.30.77", second: "172.30.78" };
/** What the addresses on its network begin with. */
export const NET = isFirst ? NETS.first : NETS.second;

/**
 * What is added to a port of a machine where it is published on this one's loopback. The sums stay below 32768: from
 * there on, the kernel gives ports to whoever asks for any, and one of those would be in the way now and then.
 */
const OFFSET = isFirst ? 20_000 : 10_000;

/** Everything of the lab in an engine has it, so that none is overlooked when the lab is taken away. */
export const LABEL = "homelab-lab";

/** The network on which the lab's machines meet. */
export const network = { name: PREFIX, subnet: `${NET}.0/24`, gateway: `${NET}.1` };
/** Of both estates' networks. */
export const gateways = Object.values(NETS).map((net) => `${net}.1`);

/** The DNS server of that network, and the zone in which the upstream registries are. */
export const dns = { container: `${PREFIX}-dns`, address: `${NET}.2`, zone: "upstream.lab" };

/** A public DNS server, which knows what everybody knows, and nothing of the internal zone. */
export const publicDns = { container: `${PREFIX}-public-dns`, address: `${NET}.3` };

/** Names that hosts look up, and their addresses: one that only the internal server knows, one that both know. */
export const names = {
	internal: { name: "docker-registry.viktorbarzin.lan", address: `${NET}.10` },
	external: { name: "www.example.com", address: "203.0.113.80" },
};

/** The host that carries every VM; only its resolver is managed. */
export const proxmox = {
	container: `${PREFIX}-proxmox`,
	hostname: "pve",
	address: `${NET}.12`,
	sshPort: OFFSET + 24,
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
		container: `${PREFIX}-upstream-${cache.name}`,
		address: `${NET}.${20 + i}`,
		url: `http://${cache.name}.${dns.zone}:5000`,
		/** A repository that only this upstream has. */
		repository: `only-on-${cache.name}/image`,
	},
}));

/** The registry VM. Its ports are published on this machine's loopback. */
export const registryVm = {
	container: `${PREFIX}-registry`,
	hostname: "docker-registry",
	address: `${NET}.10`,
	sshPort: OFFSET + 22,
	uiPort: 8080,
	subnet: "172.28.50.0/24",
};

/** The Kubernetes cluster, on one machine. */
export const kubernetes = {
	container: `${PREFIX}-kubernetes`,
	hostname: "kubernetes",
	address: `${NET}.30`,
	/** Of its API, on this machine's loopback. */
	port: 26_443,
};

/** Prometheus and its kin; the name is how the cluster's pods know it, where they have to. */
export const monitoring = {
	prometheus: { container: `${PREFIX}-prometheus`, address: `${NET}.31`, port: 29_090 },
	pushgateway: {
		container: `${PREFIX}-pushgateway`,
		address: `${NET}.32`,
		port: 29_091,
		name: "prometheus-prometheus-pushgateway.monitoring",
	},
	alertmanager: { container: `${PREFIX}-alertmanager`, address: `${NET}.33`, port: 29_093 },
};

/** Vault, by TLS; in memory, so that it is empty after a restart, until the next `pulumi up`. */
export const vault = { container: `${PREFIX}-vault`, address: `${NET}.34`, port: 28_200 };

/** The stand-in for Woodpecker, and the number of its repository. */
export const woodpecker = { container: `${PREFIX}-woodpecker`, address: `${NET}.35`, port: 28_000, repository: 1 };

/** Where a port of the registry VM is on this machine. */
export function published(port: number): number {
	return port + OFFSET;
}

/** What a machine may do: all but what containers can't be given everywhere. */
export const machineCapabilities =
	"AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM".split(
		" ",
	);
