"""The report: tables of measured rows, samples, curves and protocols on one page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vgbench.report.board import Table, board
from vgbench.report.html import protocols
from vgbench.report.html.charts import Chart, Point, Series, draw
from vgbench.report.html.page import MAX_BYTES, write_page
from vgbench.report.html.runs import RunRecord, named, run_of
from vgbench.report.html.tables import Anchors, Column, Rows, published, ranking
from vgbench.report.row_files import read_rows
from vgbench.report.rows import LeaderboardRow

_MOST_RUNS = 100  # that are shown with samples and curves
_MANY_HOURS = 2.0  # from which time is not given in minutes
_MOST_LINES = 24  # of a chart; more cannot be told apart


@dataclass(frozen=True)
class _TableView:
    """A table as the template shows it."""

    first: LeaderboardRow
    protocol: str
    columns: list[Column]
    rows: Rows
    notes: tuple[str, ...]
    reported_columns: list[Column]
    reported: Rows
    charts: list[Chart]


def write_html(
    files: Sequence[Path],
    path: Path,
    *,
    tables: Sequence[Table] | None = None,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Writes a page that shows evaluation files, and the runs they belong to.

    Args:
        files: Evaluation files; one at `RUN/eval/*.json` brings samples, curves and environment of
            its run folder.
        path: File to write.
        tables: Tables of their rows, in order (default: as `board` makes them).
        max_bytes: A page larger than this keeps its videos in the folder `assets` beside it.

    Raises:
        DataError: If a file is not readable.
    """
    rows_of = {file: read_rows(file) for file in files}
    rows = [row for own in rows_of.values() for row in own]
    runs = _runs(rows_of)
    shown = runs[:_MOST_RUNS]
    anchors = {row: run.anchor for run in shown for row in run.rows}
    ordered = board(rows) if tables is None else tables
    values: dict[str, Any] = {
        "rows": len(rows),
        "date": max((row.date for row in rows), default=""),
        "tables": [_table(table, shown, anchors) for table in ordered],
        "runs": shown,
        "left_out": len(runs) - len(shown),
        "protocols": protocols.cards(rows),
    }
    write_page("report.html", values, path, max_bytes)


def _runs(rows_of: dict[Path, list[LeaderboardRow]]) -> list[RunRecord]:
    """Returns the runs that evaluation files lie in, by name."""
    found: dict[Path, list[LeaderboardRow]] = {}
    for file, rows in rows_of.items():
        folder = run_of(file)
        if folder is not None:
            found.setdefault(folder, []).extend(rows)
    names = named(found)
    ordered = sorted(found, key=lambda folder: names[folder])
    return [
        RunRecord(folder, names[folder], i, tuple(found[folder]))
        for i, folder in enumerate(ordered)
    ]


def _table(table: Table, runs: Sequence[RunRecord], anchors: Anchors) -> _TableView:
    first = table.first
    columns, rows = ranking(table, anchors)
    reported_columns, reported = published(table.reported)
    return _TableView(
        first,
        protocols.anchor(first.protocol_id, first.protocol_hash),
        columns,
        rows,
        table.notes,
        reported_columns,
        reported,
        distance_charts(first, runs),
    )


def distance_charts(key: LeaderboardRow, runs: Iterable[RunRecord]) -> list[Chart]:
    """Returns charts of one number over kclips and over hours of training.

    Args:
        key: A row; all that were measured like it are drawn.
        runs: Runs they may be from.
    """
    title = f"{key.metric} on {key.dataset}"
    found = [(run, _distances(key, run)) for run in runs]
    found = [(run, series) for run, series in found if series.points][:_MOST_LINES]
    hours = [run.history.hours(point.x) for run, series in found for point in series.points]
    is_long = any(one > _MANY_HOURS for one in hours)
    unit, share = ("hours", 1.0) if is_long else ("minutes", 60.0)
    by_clips = [_scaled(series, lambda clips: clips / 1000) for _, series in found]
    by_time = [_scaled(series, partial(_training_time, run, share=share)) for run, series in found]
    charts = [
        draw(title, "kclips", key.metric, by_clips),
        draw(title, f"{unit} of training", key.metric, by_time),
    ]
    return [chart for chart in charts if chart is not None]


def _training_time(run: RunRecord, clips: float, share: float) -> float:
    """Returns the time of training up to a number of clips, in hours times `share`."""
    return share * run.history.hours(clips)


def _distances(key: LeaderboardRow, run: RunRecord) -> Series:
    """Returns what was measured of a run over clips seen: while training a line, rows as dots."""
    own = run.by_key.get(key.ranking_key, [])
    marks = tuple(
        Point(float(row.clips_seen), row.value, row.ci_lo, row.ci_hi)
        for row in sorted(own, key=lambda row: row.clips_seen or 0)
        if row.clips_seen is not None
    )
    line: tuple[Point, ...] = ()
    if own and run.dataset == key.dataset:
        line = run.history.evaluations(key.protocol_id)
    return Series(run.name, run.number, line or marks, marks)


def _scaled(series: Series, scale: Callable[[float], float]) -> Series:
    """Returns the series over another quantity."""

    def along(points: Iterable[Point]) -> tuple[Point, ...]:
        return tuple(Point(scale(p.x), p.y, p.lo, p.hi) for p in points)

    return Series(series.name, series.index, along(series.line), along(series.marks))
