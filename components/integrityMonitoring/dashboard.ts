/** The Grafana dashboard of the probe's metrics. */
import dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import stat from "@grafana/grafana-foundation-sdk/stat";
import table from "@grafana/grafana-foundation-sdk/table";
import timeseries from "@grafana/grafana-foundation-sdk/timeseries";
import { METRIC } from "./names.ts";

/** As Grafana imports it, JSON. */
export function integrityDashboard(): string {
	const query = (expr: string, legend = "{{instance}}") =>
		new prometheus.DataqueryBuilder().expr(expr).legendFormat(legend);
	const number = (title: string, expr: string, unit = "short") =>
		new stat.PanelBuilder().title(title).unit(unit).height(4).span(4).withTarget(query(expr));
	const lines = (title: string, unit: string, ...exprs: string[]) => {
		const panel = new timeseries.PanelBuilder().title(title).unit(unit).height(8).span(12);
		return exprs.reduce((built, expr) => built.withTarget(query(expr, "{{__name__}}")), panel);
	};
	const built = new dashboard.DashboardBuilder("Registry integrity")
		.uid("registry-integrity")
		.tags(["registry"])
		.refresh("1m")
		.time({ from: "now-24h", to: "now" })
		.withPanel(number("Broken pieces", `${METRIC}_failures`))
		.withPanel(number("Catalog accessible", `${METRIC}_catalog_accessible`))
		.withPanel(number("Questions without an answer", `${METRIC}_inconclusive`))
		.withPanel(number("Repositories", `${METRIC}_repos_checked`))
		.withPanel(number("Since the last run", `time() - ${METRIC}_last_run_timestamp`, "s"))
		.withPanel(number("Since everything was answered", `time() - ${METRIC}_last_success_timestamp`, "s"))
		.withPanel(
			new table.PanelBuilder()
				.title("Broken pieces by repository")
				.height(8)
				.span(12)
				.withTarget(query(`${METRIC}_repository_failures > 0`, "{{repository}}").instant()),
		)
		.withPanel(lines("Broken pieces", "short", `${METRIC}_failures`))
		.withPanel(
			lines("Looked at", "short", `${METRIC}_repos_checked`, `${METRIC}_tags_checked`, `${METRIC}_indexes_checked`),
		)
		.withPanel(lines("Share of all repositories that a run looks at", "percentunit", `${METRIC}_coverage`))
		.withPanel(lines("How long a run takes", "s", `${METRIC}_duration_seconds`))
		.withPanel(lines("Requests of a run", "short", `${METRIC}_requests`))
		.withPanel(lines("Read by a run", "bytes", `${METRIC}_bytes`))
		.build();
	return JSON.stringify(built, undefined, "\t");
}
