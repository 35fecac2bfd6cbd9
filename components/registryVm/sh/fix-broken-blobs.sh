#!/bin/sh
# Managed by Pulumi: looks for what is broken in the registries' storage. See upkeep.sh.
exec "$(dirname "$0")/upkeep.sh" fix-broken-blobs "$@"
