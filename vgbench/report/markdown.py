"""The board as Markdown: one table per data set, methods down, protocols across."""

import re
from collections.abc import Iterable, Iterator, Sequence

from vgbench.report.board import Entry, Table
from vgbench.report.names import grouped
from vgbench.report.published import Reported
from vgbench.report.rows import RANKING_KEY
from vgbench.report.text import arrow, kclips, number, one_line

_BACKSLASHED = re.compile(r"[\\`*_\[\]#]")
# As references, since not every Markdown lets a backslash escape these; the signs of mentions,
# emoji and links only where they could be such.
_REFERENCED = re.compile(r"[&<>|~$^{}!]|@(?=[A-Za-z])|:(?=\S)|(?<=www)\.")
# What begins a list or is a rule.
_LEADING = re.compile(r"^([-+](?![0-9])|[0-9]+[.)](?=\s|$))")
_HEAD = (
    "Best first by the first protocol. Bold: no other is certainly better, by 95 % intervals. "
    "± is the standard deviation over n training seeds; brackets hold the interval of one."
)
_REPORTED = (
    "Reported in papers: figures of other protocols, and often of others' code; not ranked, and "
    "not comparable with what was measured here or with each other."
)


def markdown(tables: Sequence[Table]) -> str:
    """Returns a Markdown document of tables, as `board` returns them."""
    groups = grouped(tables, lambda t: (t.first.dataset, t.first.dataset_fingerprint))
    sections = ["\n".join(_section(own)) for own in groups.values()]
    return "\n".join(["# Leaderboard\n", *(sections or ["No rows yet.\n"])])


def escaped(text: str) -> str:
    """Returns a text that Markdown shows literally, within one line, without outer blanks."""
    line = _BACKSLASHED.sub(r"\\\g<0>", one_line(text).strip())
    line = _REFERENCED.sub(lambda found: f"&#{ord(found[0])};", line)
    return _LEADING.sub(lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", line)


class _Footnotes:
    """Texts under a table, each once, and their marks in it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def marks(self, texts: Iterable[str]) -> str:
        """Returns the marks of texts, e.g. ` <sup>1, 3</sup>`."""
        found = [str(self._numbers.setdefault(t, len(self._numbers) + 1)) for t in texts]
        return f" <sup>{', '.join(found)}</sup>" if found else ""

    @property
    def lines(self) -> list[str]:
        """The list that the marks point to."""
        return [f"{number}. {escaped(text)}" for text, number in self._numbers.items()]


def _section(tables: Sequence[Table]) -> Iterator[str]:
    first = tables[0].first
    has_reported = any(table.reported for table in tables)
    yield f"## {escaped(first.dataset)}, {escaped(first.split)} \\#{first.dataset_fingerprint[:8]}"
    yield ""
    header = ["model", "kclips", *_titles(tables), *(["reported in papers"] * has_reported)]
    yield _line(header)
    yield _line(["---"] + ["---:"] * (len(header) - 1))
    footnotes = _Footnotes()
    for cells in _body(tables, footnotes):
        yield _line(cells[: len(header)])
    yield f"\n{_HEAD}\n"
    if has_reported:
        yield f"{_REPORTED}\n"
    if footnotes.lines:
        yield "\n".join(footnotes.lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _titles(tables: Sequence[Table]) -> list[str]:
    """Returns a title per table; what the key of two otherwise equal ones differs in is added."""
    titles = []
    for table in tables:
        own = table.first
        alike = [t.first for t in tables if _protocol(t) == _protocol(table)]
        names = [n for n in RANKING_KEY if len({getattr(row, n) for row in alike}) > 1]
        parts = (own.protocol_id, *(f"{name} {getattr(own, name)}" for name in names))
        titles.append("<br>".join((f"{escaped(own.metric)} {arrow(own)}", *map(escaped, parts))))
    return titles


def _protocol(table: Table) -> tuple[str, str]:
    return table.first.metric, table.first.protocol_id


def _body(tables: Sequence[Table], footnotes: _Footnotes) -> Iterator[list[str]]:
    measured = [{entry.model: entry for entry in table.entries} for table in tables]
    reported = grouped(
        dict.fromkeys(one for table in tables for one in table.reported),
        lambda one: _plain(one.method),
    )
    for name in dict.fromkeys(name for own in measured for name in own):
        entries = [own.get(name) for own in measured]
        some = next(entry for entry in entries if entry is not None)
        cells = [_cell(entry, footnotes) for entry in entries]
        beside = reported.pop(_plain(name), [])
        yield [escaped(name), kclips(some), *cells, _reported_cell(beside, footnotes)]
    for others in reported.values():
        empty = [""] * (len(tables) + 1)
        yield [escaped(others[0].method), *empty, _reported_cell(others, footnotes)]


def _plain(name: str) -> str:
    """Returns a name by which `StyleGAN-V` is found to be `styleganv`."""
    return re.sub(r"[^a-z0-9/ ]", "", name.lower())


def _cell(entry: Entry | None, footnotes: _Footnotes) -> str:
    if entry is None:
        return ""
    text = escaped(number(entry))
    return (f"**{text}**" if entry.rank == 1 else text) + footnotes.marks(entry.notes)


def _reported_cell(figures: Iterable[Reported], footnotes: _Footnotes) -> str:
    def told(one: Reported) -> str:
        spread = "" if one.sd is None else f" ± {one.sd:g}"
        text = escaped(f"{one.metric} {one.value:g}{spread}")
        return text + footnotes.marks([one.citation])

    return "<br>".join(told(one) for one in figures)
