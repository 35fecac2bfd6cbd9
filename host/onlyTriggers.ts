/** For a remote.Command that only its triggers run: without an `update` of its own, a new SSH key would run `create` again. */
export const onlyTriggers = { addPreviousOutputInEnv: false, update: ":" };
