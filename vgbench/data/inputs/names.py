"""Names of files: the order of videos and frames, what is skipped, what can be shown."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from vgbench.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_NOT_DATA = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


def natural_key(path: str) -> tuple[tuple[int, int, str], ...]:
    """Returns the sort key in which `clip2` precedes `clip10`; case matters, NFC normalised."""
    parts = re.split(r"(\d+)", unicodedata.normalize("NFC", path))
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p)


def is_debris(name: str) -> bool:
    """Returns whether a file or folder of this name is never data."""
    return name.startswith(".") or name in _NOT_DATA


def is_image(name: str) -> bool:
    """Returns whether a file of this name should be a picture."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def shown_name(path: str) -> str:
    """Returns a path as names of videos use it: NFC, printable, one line, valid Unicode."""
    escaped = path.encode("utf-8", "backslashreplace").decode()
    normal = unicodedata.normalize("NFC", escaped)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in normal)


def frame_number(name: str) -> int | None:
    """Returns the last integer in the stem of a file name, or None."""
    numbers = re.findall(r"\d+", name.rpartition(".")[0])
    return int(numbers[-1]) if numbers else None


def ordered_frames(folder: str, names: Sequence[str]) -> tuple[list[str], str]:
    """Returns the file names of the frames of one video in order, and a warning or nothing.

    Order is that of the last integer of the stem; names without any are sorted naturally.

    Args:
        folder: How messages call the video.
        names: File names, in any order.

    Raises:
        DataError: If numbered and unnumbered names are mixed, or a number occurs twice.
    """
    numbers = {name: frame_number(name) for name in names}
    numbered = sorted(name for name in names if numbers[name] is not None)
    if not numbered:
        return sorted(names, key=natural_key), ""
    if len(numbered) < len(names):
        other = min(set(names) - set(numbered))
        raise DataError(
            f"{folder} mixes numbered and unnumbered frames ({numbered[0]} and {other}); "
            "their order is unclear"
        )
    ordered = sorted(numbered, key=lambda name: numbers[name] or 0)
    for before, now in pairwise(ordered):
        if numbers[before] == numbers[now]:
            raise DataError(
                f"{folder} holds frame {numbers[now]} twice ({before} and {now}); "
                "their order is unclear"
            )
    return ordered, _jump(folder, [numbers[name] or 0 for name in ordered])


def _jump(folder: str, numbers: Sequence[int]) -> str:
    for a, b in pairwise(numbers):
        if b != a + 1:
            return f"{folder}: numbering jumps from {a} to {b}"
    return ""
