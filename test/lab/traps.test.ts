/**
 * The traps the old estate fell into, each with the old behaviour, which is seen to fail, and with ours. The old way
 * is a small compose project of its own beside the real one. Traps 5 and 7-9 are in crash.test.ts and upkeep.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { vmImages } from "../../lab/machines.ts";
import { begin, leave, onVm, run, up } from "./lab.ts";

const OLD = "/srv/old-way";
const names = ["one", "two"];

/** As it was: addresses as Docker hands them out, nginx with names, configs that are only mounted. */
const oldCompose = `name: old
services:
${names
	.map(
		(name) => `  ${name}:
    image: ${vmImages.registry}
    container_name: old-${name}
    volumes: ["${OLD}/config-${name}.yml:/etc/docker/registry/config.yml:ro"]
`,
	)
	.join("")}  nginx:
    image: ${vmImages.nginx}
    container_name: old-nginx
    depends_on: [one, two]
    volumes: ["${OLD}/nginx.conf:/etc/nginx/nginx.conf:ro"]
    ports: ["7001:7001", "7002:7002", "7003:7003"]
`;
const oldNginx = `events {}
http {
${names.map((name, i) => `	server { listen 700${i + 1}; location / { proxy_pass http://old-${name}:5000; proxy_connect_timeout 3s; } }`).join("\n")}
}
`;
const config = (name: string, more = "") => `version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/registry }${more} }
http: { addr: ":5000", headers: { X-Registry-Name: [${name}] } }
`;
const write = async (path: string, content: string) => {
	const args = ["-F", process.env["LAB_SSH_CONFIG"] as string, "registry", `mkdir -p ${OLD} && cat >${path}`];
	expect((await run("ssh", args, { input: content })).exitCode).toBe(0);
};
const old = (command: string) => onVm(`cd ${OLD} && docker compose --progress quiet ${command} 2>&1`);
const whoAnswers = (port: number) =>
	onVm(
		`curl -s -o /dev/null -D - --max-time 10 http://127.0.0.1:${port}/v2/ | tr -d '\\r' | sed -n 's/^X-Registry-Name: //p'`,
	);

beforeAll(async () => {
	await begin();
	await write(`${OLD}/docker-compose.yml`, oldCompose);
	await write(`${OLD}/nginx.conf`, oldNginx);
	for (const name of names) await write(`${OLD}/config-${name}.yml`, config(name));
	// One after the other, as addresses go to whoever comes first.
	for (const name of names) await old(`up --detach ${name}`);
	await old("up --detach --wait");
});
afterAll(async () => {
	await old("down --volumes");
	await onVm(`rm -rf ${OLD}`);
	await leave();
});

describe("trap 1 and 18: a recreated registry gets another's address", () => {
	/** Both go, and come back in the other order. */
	const swap = (compose: string, [first, second]: [string, string]) =>
		onVm(
			`cd ${compose} && docker compose rm --force --stop ${first} ${second} && docker compose up --detach --no-deps ${second} && docker compose up --detach --no-deps ${first}`,
		);

	it("the old way: nginx leads to the wrong one", async () => {
		expect([await whoAnswers(7001), await whoAnswers(7002)]).toEqual(["one", "two"]);
		await swap(OLD, ["one", "two"]);
		expect([await whoAnswers(7001), await whoAnswers(7002)]).toEqual(["two", "one"]);
	});

	it("ours: everybody is where they were, without a restart of nginx", async () => {
		const started = "docker inspect --format '{{.State.StartedAt}}' registry-nginx";
		const before = await onVm(started);
		await swap("/opt/registry", ["registry-ghcr", "registry-quay"]);
		await onVm("sh /opt/registry/bounce.sh try-verify </dev/null");
		expect(await onVm(started)).toBe(before);
	});

	it("ours: what is run by hand on the network never gets a registry's address, not even a free one", async () => {
		await onVm("docker stop registry-quay && docker network disconnect registry registry-quay");
		try {
			const address = await onVm(
				`docker run --rm --detach --name by-hand --network registry ${vmImages.registry} >/dev/null && docker inspect --format '{{.NetworkSettings.Networks.registry.IPAddress}}' by-hand`,
			);
			expect(Number(address.split(".")[3])).toBeGreaterThanOrEqual(128);
		} finally {
			await onVm("docker rm --force by-hand registry-quay");
			await up();
		}
	});
});

describe("trap 2: the nginx file that is managed is the one that nginx reads", () => {
	it("is what compose mounts", async () => {
		const mount = `docker inspect --format '{{range .Mounts}}{{.Source}}>{{.Destination}}{{"\\n"}}{{end}}' registry-nginx`;
		expect(await onVm(mount)).toContain("/opt/registry/nginx.conf>/etc/nginx/nginx.conf");
		const live = await onVm("docker exec registry-nginx busybox cat /etc/nginx/nginx.conf");
		expect(await onVm("cat /opt/registry/nginx.conf")).toBe(live);
	});
});

describe("trap 3: a changed file that is mounted is no change to compose", () => {
	const id = (name: string) => onVm(`docker inspect --format '{{.Id}}' ${name}`);

	it("the old way: nobody is recreated, and after a rename nobody sees the new content", async () => {
		const before = await id("old-one");
		await write(`${OLD}/config-one.yml.new`, config("renamed"));
		await onVm(`mv ${OLD}/config-one.yml.new ${OLD}/config-one.yml`);
		await old("up --detach --wait");
		expect(await id("old-one")).toBe(before);
		expect(await onVm("docker exec old-one cat /etc/docker/registry/config.yml")).not.toContain("renamed");
	});

	it("ours: see bounce.test.ts, config-private.yml; the label that does it is the digest of what is mounted", async () => {
		const label = await onVm(`docker inspect --format '{{index .Config.Labels "config.digest"}}' registry-private`);
		expect(label).toMatch(/^[0-9a-f]{32}$/);
	});
});

describe("trap 4: a port that is published with nothing behind it", () => {
	it("the old way: 7003 is published, and nobody answers", async () => {
		expect(await onVm("docker port old-nginx 7003/tcp")).toContain(":7003");
		const { exitCode } = await run("ssh", [
			...["-F", process.env["LAB_SSH_CONFIG"] as string, "registry"],
			"curl -s --max-time 10 http://127.0.0.1:7003/v2/",
		]);
		expect(exitCode).not.toBe(0);
	});

	it("ours: whatever is published answers", async () => {
		const published = await onVm("docker port registry-nginx | sed -n 's/.* 0.0.0.0:\\([0-9]*\\)$/\\1/p' | sort -n");
		const ports = published.split("\n").map(Number);
		expect(ports).toEqual([5000, 5001, 5010, 5020, 5030, 5040, 5050]);
		expect(await onVm("curl -s http://127.0.0.1:5001/metrics")).toContain("registry_http_requests_total");
		expect(await Promise.all([5000, 5010, 5020, 5030, 5040].map(whoAnswers))).toEqual([
			...["dockerhub", "ghcr", "quay", "k8s", "kyverno"],
		]);
	});
});

describe("trap 12: HEAD of a registry with the in-memory descriptor cache", () => {
	/** What HEAD says of a layer's length, before and after its content is cut to 10 bytes. */
	async function headOfTruncated(container: string): Promise<string[]> {
		const script = `set -e
address=http://$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' ${container}):5000
header() { tr -d '\\r' | sed -n "s/^$1: //p"; }
printf '%01000d' 7 >/tmp/layer
hex=$(sha256sum </tmp/layer | cut -d ' ' -f 1)
location=$(curl -sf --retry 10 --retry-delay 1 --retry-all-errors -X POST -o /dev/null -D - $address/v2/trap/blobs/uploads/ | header Location)
curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary @/tmp/layer "$location&digest=sha256:$hex"
length() { curl -sI $address/v2/trap/blobs/sha256:$hex | header Content-Length; }
length
docker exec ${container} busybox truncate -s 10 /var/lib/registry/docker/registry/v2/blobs/sha256/$(echo $hex | cut -c 1-2)/$hex/data
length`;
		return (await onVm(script)).split("\n");
	}
	const start = async (name: string, more: string) => {
		await write(`${OLD}/config-${name}.yml`, config(name, more));
		await onVm(
			`docker run --rm --detach --name ${name} --volume ${OLD}/config-${name}.yml:/etc/docker/registry/config.yml:ro ${vmImages.registry}`,
		);
	};
	afterAll(() => onVm("docker rm --force blind seeing"));

	it("the old way: it goes on telling the full length", async () => {
		await start("blind", ", cache: { blobdescriptor: inmemory }");
		expect(await headOfTruncated("blind")).toEqual(["1000", "1000"]);
	});

	it("ours, without that cache: it tells the truth", async () => {
		expect(await onVm("cat /opt/registry/config-private.yml")).not.toContain("blobdescriptor");
		await start("seeing", "");
		expect(await headOfTruncated("seeing")).toEqual(["1000", "10"]);
	});
});
