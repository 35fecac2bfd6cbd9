/** A fault of Docker 20.10 that some power cuts leave behind. */
import { afterAll, describe, expect, it } from "vitest";
import { askVm, onVm } from "./lab.ts";

describe("Docker holds a port for a container that is gone", () => {
	/** A docker that stands in its way, and says what Docker 20.10 says after some power cuts until it is restarted. */
	const heldBy = (pid: string, port: number) => `#!/bin/sh
case "$*" in
*"compose --progress quiet up"*)
	if [ "$(systemctl show --value --property MainPID docker)" = ${pid} ]; then
		echo "Bind for 0.0.0.0:${port} failed: port is already allocated" >&2
		exit 1
	fi ;;
esac
exec /usr/bin/docker "$@"
`;
	const compose = async (port: number) => {
		const script = heldBy(await onVm("systemctl show --value --property MainPID docker"), port);
		await onVm(
			`printf '%s' '${script}' >/run/docker-held && chmod 755 /run/docker-held && mv /run/docker-held /usr/local/bin/docker`,
		);
		return askVm("sh /opt/registry/bounce.sh try-compose");
	};
	afterAll(() => onVm("rm -f /usr/local/bin/docker"));

	it("is restarted, and all come up", async () => {
		const { exitCode, output } = await compose(9999);
		expect(output).toContain("Docker holds port 9999 for a container that is gone");
		expect(exitCode).toBe(0);
		await onVm("sh /opt/registry/bounce.sh try-nginx && sh /opt/registry/bounce.sh try-verify </dev/null");
	});

	it("is left alone where the container is there, and what it said is told", async () => {
		const { exitCode, output } = await compose(8080);
		expect(output).toBe("Bind for 0.0.0.0:8080 failed: port is already allocated");
		expect(exitCode).not.toBe(0);
	});
});
