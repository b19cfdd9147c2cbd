"""`vgbench leaderboard`: show, export, check, extend and compare boards of measured rows."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.report.board import Table
    from vgbench.report.rows import LeaderboardRow

_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_SORT = click.option(
    "--sort", metavar="METRIC", help="Put tables of this metric first, and all in its order."
)
_ALL_CHECKPOINTS = click.option(
    "--all-checkpoints", is_flag=True, help="Tables of every checkpoint, not a run's latest."
)
_BOARD = "leaderboard.csv"
_FORMATS = ("csv", "md", "html")
_FAULTS_SHOWN = 50
_TEXT_WIDTH = 400  # characters of a note or fault on a terminal; files have them whole


@click.group()
def leaderboard() -> None:
    """Show, export, check, extend and compare boards of what `vgbench eval` measured.

    PATHS are run folders, folders of runs, JSON files of `vgbench eval` or CSV files of `export`;
    by default the folder of all runs.

    \b
    Examples:
      vgbench leaderboard show
      vgbench leaderboard export -o leaderboard.csv runs/
    """


@leaderboard.command()
@_PATHS
@_SORT
@_ALL_CHECKPOINTS
def show(paths: tuple[Path, ...], sort: str | None, all_checkpoints: bool) -> None:
    """Print one table per set of rows that were measured alike.

    \b
    Examples:
      vgbench leaderboard show
      vgbench leaderboard show --sort hed16 runs/g3an-shapes-20260101-1a2b
    """
    from vgbench.cli.board_table import print_table
    from vgbench.report.rows import as_record

    rows = _rows(paths)
    if common.option("as_json"):
        common.emit_json([as_record(row) for row in rows])
        return
    console = common.console()
    for table in _tables(rows, sort, all_checkpoints):
        print_table(console, table)
        for number, note in enumerate(table.notes, start=1):
            console.print(f"  ({number}) {_clipped(note, _TEXT_WIDTH)}", markup=False)
        if table.reported:
            found = len(table.reported)
            console.print(f"  {found} published figures: vgbench leaderboard export --format md")
    if not rows:
        console.print("no rows yet; measure one with: vgbench eval RUN_DIR")


@leaderboard.command()
@_PATHS
@common.output("File to write; its suffix is the format.", _BOARD)
@click.option("--format", "formats", help="csv, md, html or several, each written beside -o.")
@_SORT
@_ALL_CHECKPOINTS
@common.MAX_SIZE
def export(
    paths: tuple[Path, ...],
    output: Path,
    formats: str | None,
    sort: str | None,
    all_checkpoints: bool,
    max_size: float,
) -> None:
    """Write all rows as CSV, or tables of them as Markdown or an HTML report.

    A CSV has every row as it was measured: --sort and --all-checkpoints are of tables.

    \b
    Examples:
      vgbench leaderboard export
      vgbench leaderboard export --format csv,md,html -o results.csv runs/a runs/b
    """
    from vgbench.report.check import distinct
    from vgbench.report.markdown import markdown
    from vgbench.report.row_files import collect, to_csv, write_text

    targets = _targets(output, formats)
    files = _files(paths)
    if "html" in targets:
        _refuse_boards(files)
    rows = distinct(collect(files))
    tables = [] if targets.keys() == {"csv"} else _tables(rows, sort, all_checkpoints)
    for kind, target in targets.items():
        if kind == "csv":
            write_text(target, to_csv(rows))
        elif kind == "md":
            write_text(target, markdown(tables))
        else:
            _write_html(files, target, tables, max_size)
        common.console().print(f"wrote {len(rows)} rows to {target}", markup=False)


@leaderboard.command()
@_PATHS
def check(paths: tuple[Path, ...]) -> None:
    """Look for wrong columns, changed rows, duplicates and mixed protocols; exit code 3 if any.

    \b
    Examples:
      vgbench leaderboard check leaderboard.csv
      vgbench leaderboard check runs/a/eval/hed16-demo@1-last-s0.json
    """
    from dataclasses import asdict

    from vgbench.errors import DataError
    from vgbench.report.check import check as checked

    found = checked(_files(paths))
    console = common.console()
    if common.option("as_json"):
        common.emit_json(asdict(found))
    for fault in found.faults[:_FAULTS_SHOWN]:
        console.print(f"{fault.kind}: {_clipped(str(fault), _TEXT_WIDTH)}", markup=False)
    for remark in found.remarks[:_FAULTS_SHOWN]:
        console.print(f"remark: {_clipped(remark, _TEXT_WIDTH)}", markup=False)
    if found.faults:
        raise DataError(
            f"faults: {len(found.faults)}; sound rows: {found.rows}; files: {found.files}\n"
            "  measure again what is wrong: vgbench eval RUN_DIR"
        )
    console.print(f"no faults; sound rows: {found.rows}; files: {found.files}")


@leaderboard.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@common.output("CSV board to extend; made if there is none.", _BOARD)
def add(files: tuple[Path, ...], output: Path) -> None:
    """Add measured rows to a CSV board, after checking them; those it has already are left.

    FILES are what `vgbench eval` wrote, anywhere, e.g. by a colleague.

    \b
    Examples:
      vgbench leaderboard add results.json
      vgbench leaderboard add theirs.csv ours.json -o leaderboard.csv
    """
    from vgbench.report.check import extended
    from vgbench.report.row_files import collect, read_rows, to_csv, write_text

    before = read_rows(output) if output.exists() else []
    after = extended(before, collect(files))
    write_text(output, to_csv(after))
    added = len(after) - len(before)
    common.console().print(f"added {added} rows to {output}, which has {len(after)}", markup=False)


@leaderboard.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def diff(before: Path, after: Path) -> None:
    """Print which rows one board has and another has not, and which numbers changed.

    \b
    Examples:
      vgbench leaderboard diff old.csv new.csv
      vgbench leaderboard diff leaderboard.csv runs/
    """
    from vgbench.report.check import difference
    from vgbench.report.rows import as_record

    found = difference(_rows((before,)), _rows((after,)))
    if common.option("as_json"):
        changed = [
            {name: [getattr(c.before, name), getattr(c.after, name)] for name in c.columns}
            | {"row_sha256": [c.before.row_sha256, c.after.row_sha256]}
            for c in found.changed
        ]
        one_sided = {"removed": found.removed, "added": found.added}
        records = {name: [as_record(row) for row in rows] for name, rows in one_sided.items()}
        common.emit_json({**records, "changed": changed})
        return
    console = common.console()
    for sign, rows in (("-", found.removed), ("+", found.added)):
        for row in rows:
            console.print(f"{sign} {_told(row)}  {row.value:.6g}", markup=False)
    for change in found.changed:
        told = (
            f"{name} {getattr(change.before, name)} -> {getattr(change.after, name)}"
            for name in change.columns
        )
        line = f"~ {_told(change.before)}  {_clipped(', '.join(told), _TEXT_WIDTH)}"
        console.print(line, markup=False)
    counts = (len(found.removed), len(found.added), len(found.changed))
    console.print("{} removed, {} added, {} changed".format(*counts))


def _files(paths: tuple[Path, ...]) -> list[Path]:
    from vgbench.report.row_files import find_files

    default = common.runs_dir()
    return find_files(paths or ([default] if default.exists() else []))


def _rows(paths: tuple[Path, ...]) -> "list[LeaderboardRow]":
    from vgbench.report.row_files import collect

    return collect(_files(paths))


def _tables(rows: "list[LeaderboardRow]", sort: str | None, every: bool) -> "list[Table]":
    from vgbench.report.board import board, sort_by

    tables = board(rows, every_checkpoint=every)
    return sort_by(tables, sort) if sort else tables


def _targets(output: Path, formats: str | None) -> dict[str, Path]:
    """Returns the file of each format."""
    from vgbench.errors import UsageError

    own = output.suffix.removeprefix(".")
    names = [name.strip() for name in (formats or own).split(",")]
    for name in names:
        if name not in _FORMATS:
            what = f"--format {formats}" if formats else f"--output {output}"
            raise UsageError(f"{what}: '{name}' is no format; choose from {', '.join(_FORMATS)}")
    return {name: output.with_suffix(f".{name}") for name in names}


def _write_html(files: list[Path], target: Path, tables: "list[Table]", max_size: float) -> None:
    from vgbench.report.html import write_html

    write_html(files, target, tables=tables, max_bytes=round(max_size * 1e6))


def _refuse_boards(files: list[Path]) -> None:
    from vgbench.errors import UsageError

    boards = [file for file in files if file.suffix == ".csv"]
    if boards:
        raise UsageError(
            f"{boards[0]}: the HTML report shows samples and curves, which a CSV has not\n"
            "  give run folders: vgbench leaderboard export --format html runs/"
        )


def _told(row: "LeaderboardRow") -> str:
    from vgbench.cli.board_table import NAME_WIDTH

    seeds = f"seeds {row.seed_train} {row.seed_gen}"
    name, dataset = _clipped(row.model, NAME_WIDTH), _clipped(row.dataset, NAME_WIDTH)
    return f"{name} {dataset} {row.protocol_id} {row.checkpoint_sha256[:6]} {seeds}"


def _clipped(text: str, width: int) -> str:
    from vgbench.report.text import clipped

    return clipped(text, width)
