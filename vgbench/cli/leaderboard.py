"""`vgbench leaderboard`: show or export measured rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.report.rows import LeaderboardRow

_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


@click.group()
def leaderboard() -> None:
    """Show or export the rows that `vgbench eval` measured.

    \b
    Examples:
      vgbench leaderboard show
      vgbench leaderboard export -o leaderboard.csv runs/
    """


@leaderboard.command()
@_PATHS
def show(paths: tuple[Path, ...]) -> None:
    """Print one table per set of rows that were measured alike.

    \b
    Examples:
      vgbench leaderboard show
      vgbench leaderboard show runs/g3an-shapes-20260101-1a2b
    """
    from dataclasses import asdict

    from vgbench.report.rows import ranked

    rows = _collect(paths)
    if common.option("as_json"):
        common.emit_json([asdict(row) for row in rows])
        return
    console = common.console()
    for group in ranked(rows):
        notes = list(dict.fromkeys(row.note for row in group if row.note))
        console.print(_table(group, notes))
        for number, note in enumerate(notes, start=1):
            console.print(f"  ({number}) {note}", markup=False)
    if not rows:
        console.print("no rows yet; measure one with: vgbench eval RUN_DIR")


@leaderboard.command()
@_PATHS
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("leaderboard.csv"),
    show_default=True,
    help="File to write.",
)
def export(paths: tuple[Path, ...], output: Path) -> None:
    """Write all rows as CSV, one per checkpoint, protocol and seed.

    \b
    Examples:
      vgbench leaderboard export
      vgbench leaderboard export -o results.csv runs/a runs/b
    """
    from vgbench.report.rows import write_csv

    rows = _collect(paths)
    write_csv(rows, output)
    common.console().print(f"wrote {len(rows)} rows to {output}")


def _collect(paths: tuple[Path, ...]) -> "list[LeaderboardRow]":
    from vgbench.report.rows import collect

    default = common.runs_dir()
    return collect(paths or ([default] if default.exists() else []))


def _table(rows: "list[LeaderboardRow]", notes: list[str]) -> Any:
    """Returns the table of rows measured alike, without columns that none of them fills."""
    from rich.markup import escape
    from rich.table import Table

    first = rows[0]
    arrow = "higher" if first.higher_is_better else "lower"
    title = (
        f"{first.metric} ({arrow} is better)  {first.dataset} {first.resolution}, "
        f"{first.frames} frames, {first.n_real} real and {first.n_fake} generated clips, "
        f"{first.protocol_id} #{first.protocol_hash[:8]}"
    )
    table = Table(
        title=escape(title),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    names = (
        *("model", "kclips", first.metric, "95 %", "floor", "null", "seed"),
        *("ckpt", "selection", ""),
    )
    columns = zip(names, *(_cells(row, notes) for row in rows), strict=True)
    shown = [column for column in columns if any(column[1:])]
    for name, *_ in shown:
        right = name in (first.metric, "floor", "kclips")
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(escape(name), justify=justify, no_wrap=True)
    for cells in zip(*(column[1:] for column in shown), strict=True):
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _cells(row: "LeaderboardRow", notes: list[str]) -> list[str]:
    null = "" if row.null_mean is None else f"{row.null_mean:.3f} ± {row.null_sd:.3f}"
    return [
        row.model,
        "" if row.clips_seen is None else f"{row.clips_seen / 1000:g}",
        f"{row.value:.4f}",
        "" if row.ci_lo is None else f"{row.ci_lo:.3f}..{row.ci_hi:.3f}",
        "" if row.floor is None else f"{row.floor:.4f}",
        null,
        str(row.seed_gen),
        row.checkpoint_sha256[:6],
        "" if row.selection == "none" else row.selection,
        f"({notes.index(row.note) + 1})" if row.note else "",
    ]
