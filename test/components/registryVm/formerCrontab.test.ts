import { expect, it } from "vitest";
import { formerLines } from "../../../components/registryVm/formerCrontab.ts";
import { writeLines } from "../../../host/textLines.ts";

const COLLECT = "/usr/bin/docker exec registry-dockerhub registry garbage-collect -m /etc/docker/registry/config.yml";

it.each([
	`0 3 * * 0 ${COLLECT} >> /var/log/registry-gc.log 2>&1`,
	`0   3 *\t* 0    ${COLLECT}`,
	"25 3 * * sun docker exec -t registry-private /bin/registry garbage-collect --delete-untagged /c.yml",
	"@weekly docker exec registry registry garbage-collect -m /etc/docker/registry/config.yml",
	"0 2 * * * python3 /opt/registry/cleanup-tags.sh 10 >> /var/log/registry-cleanup.log 2>&1",
	"0 2 * * * /usr/bin/python3.11 /opt/registry/cleanup-tags.sh 25",
	"30 2 * * 1-6 python3 /opt/registry/fix-broken-blobs.sh",
])("goes: %s", (line) => {
	expect(writeLines(`a\n${line}\nb\n`, formerLines)).toBe("a\nb\n");
});

it.each([
	`# 0 3 * * 0 ${COLLECT}`,
	"0 4 * * * /opt/registry/cleanup-tags.sh --keep 5",
	"0 4 * * * python3 /opt/registry/report.py",
	"0 4 * * * docker exec postgres vacuumdb --all",
	"0 4 * * * docker exec other-registry-app registry garbage-collect-report",
	"0 4 * * * echo python3 /opt/registry/cleanup-tags.sh",
	"MAILTO=docker exec registry-x registry garbage-collect -m y",
	"0 4 * * * restic backup /opt/registry/data",
])("stays: %s", (line) => {
	expect(writeLines(`${line}\n`, formerLines)).toBe(`${line}\n`);
});
