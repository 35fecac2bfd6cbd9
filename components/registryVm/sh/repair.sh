#!/bin/sh
# Managed by Pulumi: puts a repository right with what is on this machine. See upkeep.sh.
exec "$(dirname "$0")/upkeep.sh" repair "$@"
