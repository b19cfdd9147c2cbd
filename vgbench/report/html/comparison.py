"""The page that shows two runs side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vgbench.report.compare import (
    MetricComparison,
    MetricDifference,
    metric_differences,
    option_differences,
)
from vgbench.report.html import protocols
from vgbench.report.html.charts import Chart
from vgbench.report.html.page import MAX_BYTES, write_page
from vgbench.report.html.report import distance_charts
from vgbench.report.html.runs import RunRecord, read_run
from vgbench.report.html.tables import Cell, Column, Rows, decimals_for, interval, number

_COLUMNS = [
    Column("metric"),
    Column("data"),
    Column("a", is_number=True),
    Column("b", is_number=True),
    Column("b \N{MINUS SIGN} a", is_number=True),
    Column("95 %", is_number=True),
    Column("verdict"),
]


def write_comparison(a: Path, b: Path, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Writes a page that shows two runs side by side.

    Args:
        a: First run folder.
        b: Second.
        path: File to write.
        max_bytes: A page larger than this keeps its videos in the folder `assets` beside it.

    Raises:
        UsageError: If a folder is no run folder.
        DataError: If a file of a run is not readable.
    """
    runs = [
        replace(run, name=f"{letter}: {run.name}")
        for letter, run in (("a", read_run(a, 0)), ("b", read_run(b, 1)))
    ]
    metrics = metric_differences(runs[0].rows, runs[1].rows)
    values = {
        "runs": runs,
        "options": option_differences(runs[0].config, runs[1].config),
        "columns": _COLUMNS,
        "metrics": _rows(metrics),
        "refused": metrics.refused,
        "distances": _distances(metrics, runs),
        "protocols": protocols.cards(one.a for one in metrics.differences),
    }
    write_page("compare.html", values, path, max_bytes)


def _rows(metrics: MetricComparison) -> Rows:
    return [_cells(one) for one in metrics.differences]


def _cells(one: MetricDifference) -> list[Cell]:
    decimals = decimals_for([one.a.value, one.b.value])
    return [
        Cell(one.a.metric, href=protocols.anchor(one.a.protocol_id, one.a.protocol_hash)),
        Cell(f"{one.a.dataset} {one.a.resolution}"),
        number(one.a.value, decimals),
        number(one.b.value, decimals),
        number(one.value, decimals),
        interval(one.lo, one.hi, decimals),
        Cell(one.verdict),
    ]


def _distances(metrics: MetricComparison, runs: Sequence[RunRecord]) -> list[list[Chart]]:
    return [distance_charts(one.a, runs) for one in metrics.differences]
