import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { FileSet, type FileSetArgs } from "../../host/resources.ts";
import { triggeredCommand } from "../../host/triggeredCommand.ts";
import type { RegistryVmArgs, RegistryVmSecrets, RegistryVmSettings } from "./args.ts";
import { BOUNCE, credentials, FILE_SET } from "./bounce.ts";
import { certificateProblem } from "./certificate.ts";
import { checks } from "./checks.ts";
import { conditions, LEFTOVERS, leftoversScript, removeLeftovers } from "./conditions.ts";
import { filesWithoutSecrets, registryVmFiles } from "./files.ts";
import { formerLines, ROOT_CRONTAB } from "./formerCrontab.ts";
import { STRONG } from "./htpasswd.ts";
import { preconditions } from "./preconditions.ts";
import { registries } from "./registries.ts";
import { pushCanary, scan } from "./upkeepFiles.ts";

/**
 * The container-registry VM: its files, the bounces they call for, and the proof that each port
 * answers as the registry it should be.
 */
export class RegistryVm extends pulumi.ComponentResource {
	/** By group (`compose`, `nginx`, `systemd`): new whenever something of the group was changed on the VM. */
	readonly revisions: pulumi.Output<Record<string, string>>;
	/** Why the VM could not be reached, a sentence; empty where it was. */
	readonly unreachable: pulumi.Output<string>;
	/** Known once everything of the VM is done. */
	readonly done: pulumi.Output<string>;
	/** Where clients reach each registry, by its name, for example `{ ghcr: "http://10.0.20.10:5010" }`. */
	readonly urls: pulumi.Output<Record<string, string>>;

	constructor(
		name: string,
		{ connection, secrets, protect = false, ...settings }: RegistryVmArgs,
		options?: pulumi.ComponentResourceOptions,
	) {
		super("homelab:registry:RegistryVm", name, {}, options);
		// What is refused reaches no resource, so that nothing is done with it.
		const accepted = pulumi.output(secrets).apply((all) => {
			const { private: own } = settings.role;
			if (own === undefined) return all;
			const { refused, warning } = certificateProblem(all, own.hostname, Date.now());
			if (refused !== undefined) throw new pulumi.RunError(refused);
			if (warning !== undefined) pulumi.log.warn(warning, this);
			if (all.registryPassword.length < STRONG)
				pulumi.log.warn(
					`registryPassword has less than ${STRONG} characters, so each request to the private registry costs it 50 ms of a processor: set a longer one, from a generator`,
					this,
				);
			return all;
		});
		const files = new FileSet(
			name,
			{
				name: FILE_SET,
				connection,
				preconditions,
				checks: checks(settings),
				conditions: conditions(settings),
				files: declared(settings, accepted),
				lines: { [ROOT_CRONTAB]: formerLines },
			},
			{ parent: this, protect },
		);
		this.revisions = files.revisions;
		this.unreachable = files.unreachable;

		const [compose, nginx, systemd] = [files.revision("compose"), files.revision("nginx"), files.revision("systemd")];
		const command = (
			suffix: string,
			args: Omit<remote.CommandArgs, "connection" | "update">,
			dependsOn: pulumi.Resource[],
			protect = false,
		) => triggeredCommand(`${name}-${suffix}`, files, args, { parent: this, dependsOn, protect });

		const down = command("compose-down", { delete: `sh ${BOUNCE} down` }, [files], protect);
		const up = command("compose-up", { create: `sh ${BOUNCE} compose`, triggers: [compose] }, [down]);
		// Whatever compose recreated, nginx has to forget what it knew about it.
		const restart = command("nginx-restart", { create: `sh ${BOUNCE} nginx`, triggers: [compose, nginx] }, [up]);
		const verified = command(
			"verification",
			{
				create: pulumi.interpolate`sh ${BOUNCE} verify compose=${compose} nginx=${nginx}`,
				stdin: settings.role.private ? pulumi.secret(pulumi.output(secrets).apply(credentials)) : "\n",
				triggers: [compose, nginx],
			},
			[restart],
		);
		const enabled = command(
			"unit",
			{ create: pulumi.interpolate`sh ${BOUNCE} systemd systemd=${systemd}`, triggers: [systemd] },
			[verified],
		);
		const left = files.revision(LEFTOVERS);
		const remove = { create: left.apply(removeLeftovers), stdin: leftoversScript, triggers: [left] };
		const cleared = command("leftovers", remove, [verified]);
		const before = [enabled, cleared];
		if (settings.role.private) {
			const push = pushCanary(settings.role.private.name, settings.canary);
			before.push(command("canary", { create: push, triggers: [compose] }, [verified]));
		}
		const scanned = command("scan", { create: scan, triggers: [compose, nginx] }, before);

		this.done = scanned.id;
		this.urls = pulumi
			.unsecret(pulumi.output(connection))
			.apply(({ host }) =>
				Object.fromEntries(
					registries(settings.role).map((one) => [
						one.name,
						one.kind === "private" ? `https://${one.hostname}:${one.port}` : `http://${host}:${one.port}`,
					]),
				),
			);
		this.registerOutputs({ revisions: this.revisions, unreachable: this.unreachable, urls: this.urls });
	}
}

/**
 * As a FileSet takes them: only the content that must not be shown is secret. All of it would be, if it came from the
 * secrets in one piece; so which files there are is known from a rendering without them.
 */
function declared(settings: RegistryVmSettings, secrets: pulumi.Output<RegistryVmSecrets>): FileSetArgs["files"] {
	const rendered = secrets.apply((values) => registryVmFiles(settings, values));
	return Object.fromEntries(
		Object.entries(filesWithoutSecrets(settings)).map(([path, { secret, ...file }]) => {
			const content = rendered.apply((files) => files[path]?.content ?? "");
			return [path, { ...file, content: secret ? pulumi.secret(content) : pulumi.unsecret(content) }];
		}),
	);
}
