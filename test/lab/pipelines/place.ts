/** Where the commands of a pipeline run: in a shell of this machine, or in a container that has nothing else of it. */
import { cache } from "../../../lab/paths.ts";
import { checkout, env, type Outcome, run } from "../lab.ts";

/** Runs a command in a folder, with these variables and no others; never throws for its exit code. */
export type Place = (command: string[], cwd: string, variables: Record<string, string>) => Promise<Outcome>;

export const thisMachine: Place = ([file = "", ...args], cwd, variables) => {
	const machine = { PATH: env("PATH"), DOCKER_HOST: env("LAB_DOCKER_HOST") };
	return run(file, args, { cwd, env: { ...machine, ...variables }, extendEnv: false });
};

/**
 * A new container of the image for each command. It sees the folder, which is where a CI server keeps its clones, and what
 * stands in the lab for what Pulumi would fetch and for the state's server. It has this machine's network: the lab's ports
 * are on loopback. `more` is for docker, as in `source:target:ro`.
 */
export function inContainer(image: string, folder: string, ...more: string[]): Place {
	return (command, cwd, variables) => {
		const { args, env } = dockerRun([image, ...command], { folder, cwd, variables, more });
		return run("docker", args, { env, extendEnv: false });
	};
}

interface Container {
	folder: string;
	cwd: string;
	variables: Record<string, string>;
	more: string[];
	/** Docker's own choice by default. */
	name?: string;
}

/** How docker is called for that; the command begins with the image. */
export function dockerRun(
	command: string[],
	{ folder, cwd, variables, more, name }: Container,
): { args: string[]; env: Record<string, string> } {
	// By name, so that no secret is in the process list; what the client has another value of, by value.
	const { HOME, ...others } = variables;
	const given = Object.keys(others).flatMap((key) => ["--env", key]);
	if (HOME !== undefined) given.push("--env", `HOME=${HOME}`);
	const mounts = [`${folder}:${folder}`, `${cache}:${cache}`, `${checkout}:${checkout}:ro`, ...more];
	const volumes = mounts.flatMap((mount) => ["--volume", mount]);
	const options = ["--rm", "--init", "--network", "host", "--workdir", cwd, ...volumes, ...given];
	if (name !== undefined) options.push("--name", name);
	const client = { PATH: env("PATH"), HOME: env("HOME"), DOCKER_HOST: env("LAB_DOCKER_HOST") };
	return { args: ["run", ...options, ...command], env: { ...others, ...client } };
}
