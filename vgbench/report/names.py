"""Names of the entries of a board: the method, and what tells its configurations apart."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from vgbench.report.rows import LeaderboardRow

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

# Options that tell two configurations apart in a name; beyond so many, their hash does.
_MOST_OPTIONS = 3


class Contender(NamedTuple):
    """What rows of one entry have in common; they differ by seed alone.

    Attributes:
        model: Method, or the name of foreign videos.
        config_sha256: Its configuration.
        chosen_by: Metric that chose the checkpoint, or nothing.
        clips_seen: Training clips behind it, or None where the latest of them stands for all.
    """

    model: str
    config_sha256: str
    chosen_by: str
    clips_seen: int | None


def chosen_by(row: LeaderboardRow) -> str:
    """Returns the metric that chose the checkpoint of a row, or nothing."""
    return row.selection.partition(" by ")[2]


def entry_names(contenders: Mapping[Contender, LeaderboardRow]) -> dict[Contender, str]:
    """Returns the name of each contender: its method and, if there are several, what differs.

    That is up to three options (`g3an channels=8`) or else the start of the configuration's hash
    (`g3an #1a2b3c`), the metric that chose the checkpoint, and the position of training.

    Args:
        contenders: Any one row of each.
    """
    names = {}
    for model, own in grouped(contenders, lambda one: one.model).items():
        told = {one: _telling(one, contenders[one]) for one in own}
        varied = _varied(list(told.values()))
        suffixes = {one: _suffix(item, varied) for one, item in told.items()}
        counts = Counter(suffixes.values())
        for one, suffix in suffixes.items():
            is_vague = counts[suffix] > 1 and one.config_sha256
            mark = f"#{one.config_sha256[:6]}" if is_vague else ""
            names[one] = " ".join(filter(None, (model, suffix, mark)))
    return names


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Returns items that agree in a key, in the order in which they came."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _telling(contender: Contender, row: LeaderboardRow) -> dict[str, str]:
    told = {name: str(value) for name, value in json.loads(row.config or "{}").items()}
    if contender.chosen_by:
        told["best-by"] = contender.chosen_by
    if contender.clips_seen is not None:
        told["kclips"] = f"{contender.clips_seen / 1000:g}"
    return told


def _varied(told: list[dict[str, str]]) -> set[str]:
    """Returns what not all of them have alike."""
    names = {name for item in told for name in item}
    return {name for name in names if len({item.get(name) for item in told}) > 1}


def _suffix(told: Mapping[str, str], varied: set[str]) -> str:
    parts = [f"{name}={value}" for name, value in told.items() if name in varied]
    return " ".join(parts) if len(parts) <= _MOST_OPTIONS else ""
