#!/bin/sh
# with-vault.sh COMMAND ...: runs the command with a login to Vault: the one that is there, else that of the pod's service
# account, in the role `ci`.
set -eu
if [ -z "${VAULT_TOKEN-}" ]; then
	VAULT_TOKEN=$("$(dirname "$0")/../lab/bootstrap.sh" node scripts/vaultLogin.ts)
	export VAULT_TOKEN
fi
exec "$@"
