/** The probe's program as one file, which its ConfigMap has. */
import { bundle } from "../bundle.ts";

/**
 * Of undici, the parts that the probe uses, and one build of its HTTP parser: the others are a faster one, which it does
 * without where it is not there, and an experimental one that has to be asked for.
 */
const PARTS = {
	alias: { undici: "./components/integrityMonitoring/probe/undici.cjs" },
	external: ["../llhttp/llhttp_simd-wasm.js", "../milo/*"],
};

/** CommonJS, because undici is; for Node.js 24 or newer. Not compressed: each zlib would make other bytes of it. */
export function probeProgram(): string {
	return bundle(new URL("./probe/main.ts", import.meta.url), {
		target: "node24",
		format: "cjs",
		minify: true,
		...PARTS,
	});
}
