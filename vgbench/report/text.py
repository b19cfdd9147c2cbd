"""How rows are written for people: numbers, and texts of others that must break nothing."""

import unicodedata

from vgbench.report.board import Entry
from vgbench.report.rows import LeaderboardRow

# Characters that turn the direction of what follows.
_TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def one_line(text: str) -> str:
    r"""Returns a text with what is no visible character written out: a line end as `\n`.

    Everything else stays as it is, emoji and their joiners too.
    """
    return "".join(_written_out(c) if _is_hidden(c) else c for c in text)


def clipped(text: str, width: int) -> str:
    """Returns the start of a text that is longer than `width` characters, on one line."""
    line = one_line(text)
    return line if len(line) <= width else f"{line[: width - 1]}…"


def arrow(row: LeaderboardRow) -> str:
    """Returns the direction in which a metric is better."""
    return "↑" if row.higher_is_better else "↓"


def number(entry: Entry) -> str:
    """Returns mean and standard deviation over seeds, or the value with its interval.

    A deviation over several sets of videos of one training says so: it is not that of training.
    """
    if entry.sd is not None:
        of = " sets of one training" if entry.is_one_training else ""
        return f"{entry.mean:.4g} ± {entry.sd:.2g} (n = {entry.n}{of})"
    interval = "" if entry.lo is None else f" [{entry.lo:.4g}, {entry.hi:.4g}]"
    return f"{entry.mean:.4g}{interval}"


def kclips(entry: Entry) -> str:
    """Returns the training clips behind an entry, in thousands; a span where seeds differ."""
    seen = [row.clips_seen / 1000 for row in entry.rows if row.clips_seen is not None]
    if not seen:
        return ""
    first, last = f"{min(seen):g}", f"{max(seen):g}"
    return first if first == last else f"{first}..{last}"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") or character in _TURNING


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
