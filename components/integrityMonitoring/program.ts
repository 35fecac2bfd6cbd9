/** The probe's program as one file, which its ConfigMap has. */
import { bundle } from "../bundle.ts";

/**
 * CommonJS, because prom-client is; for Node.js 24 or newer. Pulumi's state has it twice, as it is declared and as it is
 * in the cluster: so it is small, and not compressed, because each zlib would make other bytes of it.
 */
export function probeProgram(): string {
	return bundle(new URL("./probe/main.ts", import.meta.url), {
		target: "node24",
		format: "cjs",
		minify: true,
		alias: { "prom-client": "./components/integrityMonitoring/probe/promClient.cjs" },
	});
}
