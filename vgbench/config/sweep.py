"""Sweeps: `seed=0,1` or `seed=range(3)` as a list of single runs with names of their own."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from vgbench.errors import UsageError

# Options that decide no number of a run: where it computes and where its scalars go.
_FREE = ("trainer", "logger")
_MAX_NAME = 120


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        name: Of its folder: model, data set, and every other option that the sweep varies, e.g.
            `g3an-shapes-seed0`.
        words: What describes it, each with a single value.
    """

    name: str
    words: tuple[str, ...]


def expand(words: list[str]) -> list[Point]:
    """Returns every run of a sweep, the last word varying fastest.

    Args:
        words: Options, some of which hold several values (`a=1,2`, `a=range(3)`).

    Raises:
        UsageError: If a word is not of the form `key=value`.
    """
    choices = [_choices(word, _parsed(word)) for word in words]
    varied = {key for options in choices if len(options) > 1 for key, _ in options}
    named = (
        Point(_name(options, varied), tuple(f"{key}={value}" for key, value in options))
        for options in product(*choices)
    )
    points = list(dict.fromkeys(named))
    taken = Counter(point.name for point in points)
    return [
        point if taken[point.name] == 1 else Point(_numbered(point), point.words)
        for point in points
    ]


def sweep_name(words: list[str]) -> str:
    """Returns `sweep-<8 hex digits>`: the same for the same words in any order.

    Words that decide no number, such as `trainer.threads=1`, do not count.
    """
    decisive = sorted(word for word in words if is_decisive(word.partition("=")[0]))
    return f"sweep-{hashlib.sha256(repr(decisive).encode()).hexdigest()[:8]}"


def is_decisive(option: str) -> bool:
    """Returns whether an option such as `model.lr` decides the numbers of a run."""
    return option == "trainer.precision" or option.split(".")[0] not in _FREE


def split_group(words: list[str], group: str) -> tuple[list[str], list[str]]:
    """Returns the words of a group (`launcher=slurm`, `launcher.time=1:00:00`) and the others."""
    own = [word for word in words if re.match(rf"{group}[.=]", word)]
    return own, [word for word in words if word not in own]


def _parsed(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise UsageError(
            f"'{word}' is not understood; options are written key=value, e.g. model=g3an"
        ) from error


def _choices(word: str, override: Override) -> list[tuple[str, str]]:
    """Returns the option of a word with each of its values."""
    if not override.is_sweep_override():
        key, _, value = word.partition("=")
        return [(key, value)]
    key = override.get_key_element()
    return [(key, str(value)) for value in override.sweep_string_iterator()]


def _name(options: tuple[tuple[str, str], ...], varied: set[str]) -> str:
    groups = [value for group in ("model", "dataset") for key, value in options if key == group]
    others = [
        f"{key.rpartition('.')[2]}{'' if value[:1].isdigit() else '-'}{value}"
        for key, value in options
        if key in varied and key not in ("model", "dataset")
    ]
    return re.sub(r"[^\w.-]+", "_", "-".join([*groups, *others]))[:_MAX_NAME]


def _numbered(point: Point) -> str:
    """Returns the name of a point that another one would have as well."""
    return f"{point.name}-{hashlib.sha256(repr(point.words).encode()).hexdigest()[:6]}"
