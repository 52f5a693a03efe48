"""Write the dashboards: `python deploy/grafana/build.py`; needs grafana-foundation-sdk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

if TYPE_CHECKING:
    from panels import Board, Panel

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
STAT_SPAN, GRAPH_SPAN, ROW_WIDTH = 4, 8, 24


def dashboard_of(board: Board) -> str:
    """Return a dashboard as JSON text."""
    built = (
        dashboard.Dashboard(f"blockcache: {board.title}")
        .uid(f"blockcache-{board.name}")
        .tags(["blockcache"])
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(_model_variable())
    )
    for row in board.rows:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(_panel(panel, _span(len(row.panels))))
    return JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"


def _span(panels: int) -> int:
    """Return the width of each of so many panels: three or two in a line."""
    return GRAPH_SPAN if panels % 3 == 0 else ROW_WIDTH // 2


def _model_variable() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("model")
        .query("label_values(blockcache_worker_up, model)")
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel, span: int) -> Any:
    kind = stat.Panel() if panel.stat else _graph()
    built = kind.title(panel.title).datasource(SOURCE).unit(panel.unit).min(0)
    built = built.description(panel.text).span(STAT_SPAN if panel.stat else span)
    built = built.height(4 if panel.stat else 8)
    if panel.most is not None:
        built = built.max(panel.most)
    for query in panel.queries:
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend)
        built = built.with_target(target.datasource(SOURCE))
    return built


def _graph() -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)
    return timeseries.Panel().legend(legend).tooltip(tooltip).fill_opacity(10)


def main() -> None:
    """Write every dashboard into its file."""
    from panels import BOARDS

    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(dashboard_of(board), "utf-8")


if __name__ == "__main__":
    main()
