"""One table of the board on a terminal."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Drawn

    from vgbench.report.board import Entry, Table

NAME_WIDTH = 60  # characters of a name; files have it whole
_WIDEST = 1000
_RIGHT = {"kclips", "floor", "value"}


def print_table(console: "Console", table: "Table") -> None:
    """Prints the entries, without columns that none of them fills; no number is ever cut."""
    from rich.measure import Measurement

    from vgbench.report.text import one_line

    drawn = _drawn(table)
    wide = console.options.update(max_width=_WIDEST)
    console.width = max(console.width, Measurement.get(console, wide, drawn).maximum)
    console.print(one_line(_title(table)), markup=False, style="italic", soft_wrap=True)
    console.print(drawn)


def _drawn(table: "Table") -> "Drawn":
    from rich.markup import escape
    from rich.table import Table as Drawn

    drawn = Drawn(box=None, padding=(0, 2, 0, 0), header_style="bold")
    names = ("", "model", "kclips", "value", "95 %", "n", "floor", "null", "seeds", "ckpt", "note")
    marks = {note: f"({number})" for number, note in enumerate(table.notes, start=1)}
    columns = zip(names, *(_cells(entry, marks) for entry in table.entries), strict=True)
    shown = [column for column in columns if any(column[1:])]
    for name, *_ in shown:
        header = table.first.metric if name == "value" else name
        justify: Literal["left", "right"] = "right" if name in _RIGHT else "left"
        drawn.add_column(escape(header), justify=justify, no_wrap=True)
    for cells in zip(*(column[1:] for column in shown), strict=True):
        drawn.add_row(*(escape(cell) for cell in cells))
    return drawn


def _title(table: "Table") -> str:
    first = table.first
    direction = "higher" if first.higher_is_better else "lower"
    return (
        f"{first.metric} ({direction} is better)  {first.dataset} {first.resolution}, "
        f"{first.frames} frames, {first.n_real} real and {first.n_fake} generated clips, "
        f"{first.protocol_id} #{first.protocol_hash[:8]}"
    )


def _cells(entry: "Entry", marks: dict[str, str]) -> list[str]:
    from vgbench.report.text import clipped, kclips

    row = entry.rows[0]
    spread = "" if entry.sd is None else f" ± {entry.sd:.4f}"
    return [
        "" if entry.rank is None else f"{entry.rank}{'=' if entry.ties else ''}",
        clipped(entry.model, NAME_WIDTH),
        kclips(entry),
        f"{entry.mean:.4f}{spread}",
        "" if entry.lo is None else f"{entry.lo:.3f}..{entry.hi:.3f}",
        "" if entry.n == 1 else str(entry.n),
        "" if row.floor is None else f"{row.floor:.4f}",
        "" if row.null_mean is None else f"{row.null_mean:.3f} ± {row.null_sd:.3f}",
        clipped(_seeds(entry), 20),
        row.checkpoint_sha256[:6] if entry.n == 1 else "",
        " ".join(marks[note] for note in entry.notes),
    ]


def _seeds(entry: "Entry") -> str:
    """Returns the seeds of training and of the videos: `0 1 2 / 0`."""
    training = dict.fromkeys("-" if r.seed_train is None else str(r.seed_train) for r in entry.rows)
    videos = dict.fromkeys(str(row.seed_gen) for row in entry.rows)
    return f"{' '.join(training)} / {' '.join(videos)}"
