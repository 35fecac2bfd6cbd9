/**
 * What the probe uses of undici, which its bundle has in the place of the whole: its fetch, caches and mocks would
 * double the ConfigMap, and Pulumi's state has that twice. test/lab/monitoring.test.ts runs this in the cluster.
 */
const Agent = require("../../../node_modules/undici/lib/dispatcher/agent.js");
const Dispatcher = require("../../../node_modules/undici/lib/dispatcher/dispatcher.js");
const redirect = require("../../../node_modules/undici/lib/interceptor/redirect.js");
const retry = require("../../../node_modules/undici/lib/interceptor/retry.js");
const request = require("../../../node_modules/undici/lib/api/api-request.js");

Object.assign(Dispatcher.prototype, { request });
module.exports = { Agent, interceptors: { redirect, retry } };
