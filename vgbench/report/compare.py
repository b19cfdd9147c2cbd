"""Two runs against each other: options that differ, and numbers that may be subtracted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgbench.report.rows import RANKING_KEY, LeaderboardRow


@dataclass(frozen=True)
class OptionDifference:
    """An option that two runs have at different values.

    Attributes:
        name: The option, e.g. `model.lr_g`.
        a: Its value in the first run; None where it has no such option.
        b: In the second.
    """

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class MetricDifference:
    """One number of two runs, measured alike.

    Attributes:
        a: Row of the first run.
        b: Row of the second.
        value: Second minus first.
        lo: Lower end of its 95 % interval; None where a row has none.
        hi: Upper end.
    """

    a: LeaderboardRow
    b: LeaderboardRow
    value: float
    lo: float | None
    hi: float | None

    @property
    def verdict(self) -> str:
        """Which run is better, as far as the interval tells: `a`, `b` or `not told apart`."""
        if self.lo is None or self.hi is None:
            return "unknown: a row has no interval"
        if self.lo <= 0 <= self.hi or math.isnan(self.value):
            return "not told apart"
        return "b is better" if (self.value > 0) == self.a.higher_is_better else "a is better"


@dataclass(frozen=True)
class Refused:
    """A number that cannot be subtracted.

    Attributes:
        metric: Its name.
        protocol_id: Its protocol.
        reason: What the two rows do not share.
    """

    metric: str
    protocol_id: str
    reason: str


@dataclass(frozen=True)
class MetricComparison:
    """All numbers of two runs: what could be subtracted, and what was refused."""

    differences: tuple[MetricDifference, ...]
    refused: tuple[Refused, ...]


def flatten(tree: Any, prefix: str = "") -> dict[str, str]:
    """Returns the leaves of nested mappings as text: `{"a": {"b": 1}}` gives `{"a.b": "1"}`."""
    if not isinstance(tree, Mapping):
        return {prefix: "" if tree is None else str(tree)}
    leaves: dict[str, str] = {}
    for name, inner in tree.items():
        leaves |= flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    return leaves


def option_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[OptionDifference]:
    """Returns the options that differ between two nested configurations, in their order."""
    flat_a, flat_b = flatten(a), flatten(b)
    return [
        OptionDifference(name, flat_a.get(name), flat_b.get(name))
        for name in dict.fromkeys([*flat_a, *flat_b])
        if flat_a.get(name) != flat_b.get(name)
    ]


def metric_differences(
    a: Sequence[LeaderboardRow], b: Sequence[LeaderboardRow]
) -> MetricComparison:
    """Returns the numbers of two runs subtracted where they were measured alike.

    Of several rows of a run under one key the furthest trained counts, of these the one with the
    lowest seed of generated videos.

    Args:
        a: Rows of the first run.
        b: Rows of the second.
    """
    best_a, best_b = _representatives(a), _representatives(b)
    shared = [key for key in best_a if key in best_b]
    only_a = [row for key, row in best_a.items() if key not in best_b]
    only_b = [row for key, row in best_b.items() if key not in best_a]
    refused = [_refused(row, only_b, "b") for row in only_a]
    # What found its nearest among those of the first run has been named with it.
    alone = [row for row in only_b if row.metric not in {other.metric for other in only_a}]
    refused += [_refused(row, only_a, "a") for row in alone]
    return MetricComparison(
        tuple(_difference(best_a[key], best_b[key]) for key in shared), tuple(refused)
    )


def _representatives(rows: Sequence[LeaderboardRow]) -> dict[tuple[Any, ...], LeaderboardRow]:
    ordered = sorted(rows, key=lambda row: (-(row.clips_seen or 0), row.seed_gen, row.selection))
    found: dict[tuple[Any, ...], LeaderboardRow] = {}
    for row in ordered:
        found.setdefault(row.ranking_key, row)
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


def _difference(a: LeaderboardRow, b: LeaderboardRow) -> MetricDifference:
    lo, hi = difference_interval(a, b)
    return MetricDifference(a, b, b.value - a.value, lo, hi)


def difference_interval(
    a: LeaderboardRow, b: LeaderboardRow
) -> tuple[float, float] | tuple[None, None]:
    """Returns the 95 % interval of b - a, from the intervals of both; None where one is missing.

    Each limit adds in squares how far the two values may be off in its direction. The intervals
    are taken as independent; rows against the same real clips share some of their error, which
    makes this one rather too wide than too narrow. It covers the draw of videos, not the training.

    Source: Zou and Donner, "Construction of confidence limits about effect measures: a general
    approach", Statistics in Medicine 27 (2008), equations for the difference of two parameters.
    """
    if a.ci_lo is None or a.ci_hi is None or b.ci_lo is None or b.ci_hi is None:
        return None, None
    value = b.value - a.value
    return (
        value - math.hypot(b.value - b.ci_lo, a.ci_hi - a.value),
        value + math.hypot(b.ci_hi - b.value, a.value - a.ci_lo),
    )


def _refused(row: LeaderboardRow, others: Sequence[LeaderboardRow], missing: str) -> Refused:
    """Returns why a row has no partner: what tells it from the nearest row of its metric."""
    same = [other for other in others if other.metric == row.metric]
    if not same:
        return Refused(row.metric, row.protocol_id, f"not measured of run {missing}")
    nearest = min((_unequal(row, other) for other in same), key=len)
    told = [f"{name} {getattr(row, name)} against {found}" for name, found in nearest.items()]
    return Refused(row.metric, row.protocol_id, "; ".join(told))


def _unequal(row: LeaderboardRow, other: LeaderboardRow) -> dict[str, Any]:
    return {
        name: getattr(other, name)
        for name in RANKING_KEY
        if getattr(row, name) != getattr(other, name)
    }
