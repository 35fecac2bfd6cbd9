/** The steps of a key's rotation that are done on its host. */
import { FileSet } from "../../host/fileSet.ts";
import { type Connection, exec } from "../../host/ssh.ts";
import type { KeyConfig } from "./args.ts";
import { authorizedLine } from "./sshKey.ts";

/** Lets a key in beside the one that the connection logs in with. Throws where the host can't be reached. */
export function letIn(connection: Connection, { label, options }: KeyConfig, next: string): Promise<void> {
	const text = authorizedLine(next, nextLabel(label), options);
	return change(connection, { present: [{ text, label: nextLabel(label) }], absent: [] });
}

/** Takes the second line away again, once the first one has the new key. */
export function takeOut(connection: Connection, { label }: KeyConfig): Promise<void> {
	return change(connection, { present: [], absent: [{ label: nextLabel(label) }] });
}

/** Throws a ConnectionError where the key is not let in. */
export async function provesLogin(connection: Connection, privateKey: string): Promise<void> {
	const { code, stderr } = await exec({ ...connection, privateKey }, "true");
	if (code !== 0) throw new Error(`${connection.host} lets the key in, but runs nothing: ${stderr.trim()}`);
}

function nextLabel(label: string): string {
	return `${label}.next`;
}

async function change(connection: Connection, lines: object): Promise<void> {
	const file = { ...lines, notify: [], effect: "who may log in changes" };
	const { inputs, failures } = FileSet.check({
		name: "key",
		connection,
		files: {},
		lines: { "/root/.ssh/authorized_keys": file },
	});
	const problem = Object.values(failures)[0];
	if (problem !== undefined) throw new Error(problem);
	await FileSet.create(inputs, { urn: "", preview: false, log: () => {} });
}
