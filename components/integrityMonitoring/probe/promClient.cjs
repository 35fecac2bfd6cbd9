/**
 * What the probe uses of prom-client, which its bundle has in the place of the whole: histograms, summaries and the
 * metrics of Node.js itself would double the program. test/lab/monitoring.test.ts runs this in the cluster.
 */
const Gauge = require("../../../node_modules/prom-client/lib/gauge.js");
const Registry = require("../../../node_modules/prom-client/lib/registry.js");

module.exports = { Gauge, Registry };
