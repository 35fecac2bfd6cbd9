/** Logs in to Vault (VAULT_ADDR) as the pod's service account, in the role VAULT_ROLE (ci), and prints the token. */

import { loginByKubernetes } from "../components/vault.ts";
import { ExpectedError } from "../host/expectedError.ts";

try {
	process.stdout.write(await loginByKubernetes(process.env["VAULT_ROLE"] ?? "ci"));
} catch (error) {
	console.error(error instanceof ExpectedError ? error.message : error);
	process.exitCode = 1;
}
