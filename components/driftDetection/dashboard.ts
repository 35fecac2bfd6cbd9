/** The Grafana dashboard of the drift run's metrics. */
import dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import stat from "@grafana/grafana-foundation-sdk/stat";
import table from "@grafana/grafana-foundation-sdk/table";
import timeseries from "@grafana/grafana-foundation-sdk/timeseries";

/** As Grafana imports it, JSON. */
export function driftDashboard(): string {
	const query = (expr: string, legend: string) => new prometheus.DataqueryBuilder().expr(expr).legendFormat(legend);
	const number = (title: string, expr: string, unit = "short") =>
		new stat.PanelBuilder().title(title).unit(unit).height(4).span(6).withTarget(query(expr, "{{stack}}"));
	const built = new dashboard.DashboardBuilder("Drift")
		.uid("drift-detection")
		.tags(["drift"])
		.refresh("5m")
		.time({ from: "now-30d", to: "now" })
		.withRow(new dashboard.RowBuilder("Drift"))
		.withPanel(number("Stacks that have drifted", "drift_stack_count"))
		.withPanel(number("Stacks that could not be looked at", "drift_error_count"))
		.withPanel(number("For how long", "max(drift_stack_age_hours) * 3600", "s"))
		.withPanel(number("Since the last run", "time() - max(drift_detection_last_run_timestamp)", "s"))
		.withPanel(
			new table.PanelBuilder()
				.title("What is not as declared")
				.height(8)
				.span(12)
				.withTarget(query("drift_resource_info", "{{stack}} {{resource}}").instant()),
		)
		.withPanel(
			new timeseries.PanelBuilder()
				.title("State: 0 as declared, 1 drifted, 2 not found out")
				.height(8)
				.span(12)
				.withTarget(query("drift_stack_state", "{{stack}}")),
		)
		.build();
	return JSON.stringify(built, undefined, "\t");
}
