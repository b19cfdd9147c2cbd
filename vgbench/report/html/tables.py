"""Tables of a page: columns and cells as they are shown and as they are sorted."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

from markupsafe import escape

from vgbench.report.board import Entry, Table
from vgbench.report.published import Reported
from vgbench.report.rows import LeaderboardRow
from vgbench.report.text import kclips

T = TypeVar("T")

_DIGITS = 4  # significant ones of the smallest value of a column, and most decimals
_MOST_SEEDS = 6  # that are named
_LONG = 40  # characters; a longer text is broken into lines, and scrolls where they are many


@dataclass(frozen=True)
class Column:
    """The head of a column; `sorted` is the order in which it stands at first."""

    title: str
    is_number: bool = False
    sorted: str = "none"


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: What is shown.
        kind: Class of style: `number`, or nothing.
        sort: The number it sorts by, where its text is not that number.
        title: What is shown when pointed at.
        href: Anchor in the page it leads to, if any.
        is_best: Whether it stands out.
    """

    text: str
    kind: str = ""
    sort: str = ""
    title: str = ""
    href: str = ""
    is_best: bool = False

    def __html__(self) -> str:
        """Returns its markup, by which a template shows it; made here as boards have many."""
        text = str(escape(self.text))
        if self.href:
            text = f'<a href="#{escape(self.href)}">{text}</a>'
        if len(self.text) > _LONG or "\n" in self.text:
            text = f'<div class="text">{text}</div>'
        classes = f"{self.kind} best" if self.is_best else self.kind
        named = {"class": classes, "data-v": self.sort, "title": self.title}
        attributes = "".join(f' {name}="{escape(v)}"' for name, v in named.items() if v)
        return f"<td{attributes}>{text}</td>"


Rows: TypeAlias = list[list[Cell]]
Anchors: TypeAlias = Mapping[LeaderboardRow, str]


def number(value: float | None, decimals: int) -> Cell:
    """Returns a cell of a number, sorted by all of its digits; empty for None."""
    if value is None:
        return Cell("", "number")
    return Cell(fixed(value, decimals), "number", repr(float(value)))


def fixed(value: float, decimals: int) -> str:
    """Returns a number with a true minus sign; `nan` and `inf` as words."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def decimals_for(values: Iterable[float | None]) -> int:
    """Returns how many decimals show four digits of the smallest value, at most four."""
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
    power = math.floor(math.log10(min(sizes, default=1.0)))
    return min(_DIGITS, max(0, _DIGITS - 1 - power))


def interval(lo: float | None, hi: float | None, decimals: int) -> Cell:
    """Returns a cell of an interval, sorted by its lower end."""
    if lo is None or hi is None:
        return Cell("", "number")
    return Cell(f"{fixed(lo, decimals)} to {fixed(hi, decimals)}", "number", repr(float(lo)))


def ranking(table: Table, anchors: Anchors) -> tuple[list[Column], Rows]:
    """Returns columns and rows of measured entries, without columns that none of them fills.

    Args:
        table: Entries, in the order that they are shown in at first.
        anchors: Where the run of a row is described, if it is.
    """
    decimals = decimals_for(entry.mean for entry in table.entries)
    notes = {note: str(i) for i, note in enumerate(table.notes, start=1)}
    first = table.first
    columns: list[tuple[Column, Callable[[Entry], Cell]]] = [
        (Column("rank", True, _order(table.entries)), _rank),
        (Column("model"), lambda entry: _model(entry, anchors)),
        (Column(first.metric, True), lambda entry: _mean(entry, decimals)),
        (Column("±", True), lambda entry: number(entry.sd, decimals)),
        (Column("n", True), lambda entry: Cell(str(entry.n), "number")),
        (Column("95 %", True), lambda entry: interval(entry.lo, entry.hi, decimals)),
        (Column("kclips", True), lambda entry: Cell(kclips(entry), "number")),
        (Column("floor", True), lambda entry: number(entry.rows[0].floor, decimals)),
        (Column("null", True), lambda entry: number(entry.rows[0].null_mean, decimals)),
        (Column("seeds"), _seeds),
        (Column("checkpoint"), _checkpoint),
        (Column("chosen"), _selection),
        (Column("note"), lambda entry: Cell(", ".join(notes[note] for note in entry.notes))),
    ]
    return _filled(columns, table.entries)


def published(reported: Sequence[Reported]) -> tuple[list[Column], Rows]:
    """Returns columns and rows of numbers that publications report."""
    columns: list[tuple[Column, Callable[[Reported], Cell]]] = [
        (Column("method"), lambda one: Cell(one.method)),
        (Column("year", True), lambda one: Cell(str(one.year or ""), "number")),
        (Column("metric"), lambda one: Cell(one.metric)),
        (Column("value", True), lambda one: Cell(f"{one.value:g}", "number")),
        (Column("±", True), lambda one: Cell("" if one.sd is None else f"{one.sd:g}", "number")),
        (Column("data"), lambda one: Cell(" ".join([one.dataset, *_height(one)]))),
        (Column("protocol"), lambda one: Cell(one.protocol)),
        (Column("source"), lambda one: Cell(f"{one.source}; {one.locator}")),
        (Column("confidence"), lambda one: Cell(one.confidence)),
        (Column("note"), lambda one: Cell(one.note)),
    ]
    return _filled(columns, reported)


def _filled(
    columns: list[tuple[Column, Callable[[T], Cell]]], lines: Sequence[T]
) -> tuple[list[Column], Rows]:
    """Returns the columns that some line fills, and the cells of the lines in them."""
    cells = [(column, [cell(line) for line in lines]) for column, cell in columns]
    kept = [(column, made) for column, made in cells if any(cell.text for cell in made)]
    rows = [list(row) for row in zip(*(made for _, made in kept), strict=True)]
    return [column for column, _ in kept], rows


def _height(one: Reported) -> list[str]:
    return [] if one.resolution is None else [f"{one.resolution}\N{SUPERSCRIPT TWO}"]


def _order(entries: Sequence[Entry]) -> str:
    """Returns whether entries stand by their rank, as the head of a column says it."""
    ranks = [math.inf if entry.rank is None else entry.rank for entry in entries]
    return "ascending" if ranks == sorted(ranks) else "none"


def _rank(entry: Entry) -> Cell:
    if entry.rank is None:
        return Cell("\N{EN DASH}", "number")
    ties = f"not told apart from {', '.join(entry.ties)}" if entry.ties else ""
    return Cell(str(entry.rank), "number", title=ties)


def _model(entry: Entry, anchors: Anchors) -> Cell:
    href = anchors.get(entry.rows[0], "")
    return Cell(entry.model, href=href, is_best=entry.rank == 1)


def _mean(entry: Entry, decimals: int) -> Cell:
    return number(entry.mean, decimals)._replace(is_best=entry.rank == 1)


def _seeds(entry: Entry) -> Cell:
    of_videos = entry.is_one_training or entry.rows[0].seed_train is None
    seeds = [row.seed_gen if of_videos else row.seed_train for row in entry.rows]
    more = ", …" if len(seeds) > _MOST_SEEDS else ""
    return Cell(", ".join(map(str, seeds[:_MOST_SEEDS])) + more)


def _checkpoint(entry: Entry) -> Cell:
    if entry.n > 1:
        return Cell("")
    sha256 = entry.rows[0].checkpoint_sha256
    return Cell(sha256[:6], title=sha256)


def _selection(entry: Entry) -> Cell:
    selection = entry.rows[0].selection
    return Cell("" if selection == "none" else selection)
