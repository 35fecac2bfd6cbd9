#!/bin/sh
# Managed by Pulumi: keeps the newest tags of each repository. See upkeep.sh.
exec "$(dirname "$0")/upkeep.sh" cleanup-tags "$@"
