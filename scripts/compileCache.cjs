// Node.js keeps what it has compiled of this program and of Pulumi's SDK, in the checkout, as the plugins do: a preview
// takes a tenth less time. Where it can't be kept, it is not, and NODE_COMPILE_CACHE says where else.
const { enableCompileCache } = require("node:module");
const { join } = require("node:path");

enableCompileCache?.(join(__dirname, "..", "node_modules", ".cache", "node"));
