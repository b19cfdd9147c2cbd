"""What is wrong with files of rows, and how two boards differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from vgbench.errors import DataError
from vgbench.report.names import grouped
from vgbench.report.row_files import Fault, read_file
from vgbench.report.rows import COLUMNS, RANKING_KEY, LeaderboardRow
from vgbench.report.text import clipped

# A row and its place: file, and line or number in it.
Placed: TypeAlias = tuple[str, LeaderboardRow]

# What a reader takes for one thing by its name: rows that agree in these look alike.
_LOOKS = ("dataset", "metric", "protocol_id", "resolution", "split")
# Contents behind a name. Where these differ, the name means two things.
_CONTENTS = ("protocol_hash", "feature_net_sha256", "preprocess_id")
# What differs between two evaluations that gave the same.
_CIRCUMSTANCES = {"row_sha256", "date", "device", "vgbench_version", "torch_version"}


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        files: Files that were read.
        rows: Sound rows in them.
        faults: What is wrong.
        remarks: What is in order but may surprise: a measurement made again to the same value, and
            rows that look alike and are ranked apart for what a column says openly.
    """

    files: int
    rows: int
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One measurement that two boards give differently.

    Attributes:
        before: Its row in the first.
        after: Its row in the second.
        columns: Where they differ, but for `row_sha256`.
    """

    before: LeaderboardRow
    after: LeaderboardRow
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How two boards differ; a measurement that was repeated to the same number is no difference.

    Attributes:
        removed: Rows of measurements that only the first has.
        added: Rows of measurements that only the second has.
        changed: Measurements that both have, with other values.
    """

    removed: tuple[LeaderboardRow, ...]
    added: tuple[LeaderboardRow, ...]
    changed: tuple[Change, ...]


def check(files: Sequence[Path]) -> Checked:
    """Returns what is wrong with files of rows, each by itself and all together.

    Raises:
        OSError: If a file cannot be read.
    """
    contents = [read_file(file) for file in files]
    placed = [one for content in contents for one in content.rows]
    faults = [fault for content in contents for fault in content.faults]
    repeated, made_again = _repeated(placed)
    mixed, ranked_apart = _mixed(placed)
    found = (*faults, *repeated, *mixed)
    return Checked(len(files), len(placed), found, (*made_again, *ranked_apart))


def difference(before: Iterable[LeaderboardRow], after: Iterable[LeaderboardRow]) -> Difference:
    """Returns how two boards differ; where one has a measurement twice, its newest row counts."""
    old, new = _newest(before), _newest(after)
    changed = [
        Change(old[one], new[one], columns)
        for one in old
        if one in new and (columns := _changed_columns(old[one], new[one]))
    ]
    return Difference(
        tuple(row for one, row in old.items() if one not in new),
        tuple(row for one, row in new.items() if one not in old),
        tuple(changed),
    )


def extended(
    before: Sequence[LeaderboardRow], rows: Iterable[LeaderboardRow]
) -> list[LeaderboardRow]:
    """Returns a board with the measurements that it did not have.

    Raises:
        DataError: If it has one of them with another value.
    """
    known_rows = {row.measurement: row for row in before}
    added = []
    for row in rows:
        if row.measurement not in known_rows:
            added.append(row)
        known = known_rows.setdefault(row.measurement, row)
        if repr(known.value) != repr(row.value):
            raise DataError(
                f"{clipped(row.model, 60)} under {row.protocol_id}: the board has "
                f"{known.value!r} for the measurement that is {row.value!r} here\n"
                "  see what differs: vgbench leaderboard diff BOARD FILE"
            )
    return [*before, *added]


def distinct(rows: Iterable[LeaderboardRow]) -> list[LeaderboardRow]:
    """Returns rows without repetitions: of a measurement that gave one value again, the newest.

    Rows of one measurement with two values stay both; a check finds them.
    """
    kept: dict[tuple[Any, ...], LeaderboardRow] = {}
    for row in rows:
        one = (row.measurement, repr(row.value))
        kept[one] = max(kept.get(one, row), row, key=lambda same: same.date)
    return list(kept.values())


def _repeated(placed: Iterable[Placed]) -> tuple[list[Fault], list[str]]:
    """Returns faults and remarks on measurements that are there more than once."""
    faults, remarks = [], []
    for same in grouped(placed, lambda one: one[1].measurement).values():
        first_place, first = same[0]
        for place, row in same[1:]:
            text = f"the same measurement as in {first_place}"
            if repr(row.value) != repr(first.value):
                text = f"{text}, with {row.value!r} for {first.value!r}"
            elif row.row_sha256 != first.row_sha256:
                remarks.append(f"{place}: {text}, made again to the same value")
                continue
            faults.append(Fault(place, "duplicate", text))
    return faults, remarks


def _mixed(placed: Iterable[Placed]) -> tuple[list[Fault], list[str]]:
    """Returns faults and remarks on rows that look alike but are never ranked together."""
    faults, remarks = [], []
    for alike in grouped(placed, lambda one: _values(one[1], _LOOKS)).values():
        groups = list(grouped(alike, lambda one: one[1].ranking_key).values())
        first_place, first = groups[0][0]
        for (place, row), *_ in groups[1:]:
            names = [n for n in RANKING_KEY if getattr(row, n) != getattr(first, n)]
            told = ", ".join(f"{n} {getattr(row, n)} and not {getattr(first, n)}" for n in names)
            text = f"{row.metric} under {row.protocol_id} has {told}, as in {first_place}"
            if set(names) & set(_CONTENTS):
                faults.append(Fault(place, "mixed", f"{text}: one name for two protocols"))
            else:
                remarks.append(f"{place}: {text}: ranked apart")
    return faults, remarks


def _newest(rows: Iterable[LeaderboardRow]) -> dict[tuple[Any, ...], LeaderboardRow]:
    return {row.measurement: row for row in sorted(rows, key=lambda row: row.date)}


def _changed_columns(before: LeaderboardRow, after: LeaderboardRow) -> tuple[str, ...]:
    if before.row_sha256 == after.row_sha256:
        return ()
    compared = [name for name in COLUMNS if name not in _CIRCUMSTANCES]
    return tuple(n for n in compared if repr(getattr(before, n)) != repr(getattr(after, n)))


def _values(row: LeaderboardRow, names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in names)
