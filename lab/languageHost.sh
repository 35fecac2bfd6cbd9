# Stands before Pulumi's language host for Node.js ($host), which is older than the lab's engine here: it takes from flags
# what Pulumi.yaml says of the runtime, and this engine gives it none. Pulumi starts it where Pulumi.yaml is.
# shellcheck shell=sh
option() {
	sed -n "s/^    $1: //p" Pulumi.yaml 2>/dev/null || true # Not every command has a project.
}
typescript=$(option typescript)
nodeargs=$(option nodeargs)
# shellcheck disable=SC2154 # Set before this, by who writes it to where it is called (tools.ts).
exec "$host" ${typescript:+"-typescript=$typescript"} ${nodeargs:+"-nodeargs=$nodeargs"} "$@"
