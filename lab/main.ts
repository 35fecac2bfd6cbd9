/** The lab's commands. See `make help`. */
import { Command } from "commander";
import { clean, down } from "./down.ts";
import { StepError } from "./run.ts";
import { printEnvironment, status } from "./status.ts";
import { found, up } from "./up.ts";

for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.on(signal, () => {
		console.error(`\n${signal}: stopped; run the same again to go on`);
		process.exit(130);
	});
}

const program = new Command().name("lab").description("A local estate made of real parts.");
program.command("up").description("build what is missing, start it, and run pulumi up against it").action(up);
program.command("found").description("the same estate, as it was before this program").action(found);
program.command("status").description("each part, its state and where it is").action(status);
program.command("down").description("stop everything").action(down);
program.command("clean").description("stop everything and remove all of it").action(clean);
program.command("env").description("print shell exports for working with the lab by hand").action(printEnvironment);
await program.parseAsync().catch((error: unknown) => {
	if (!(error instanceof StepError)) throw error;
	console.error(error.message);
	process.exitCode = 1;
});
