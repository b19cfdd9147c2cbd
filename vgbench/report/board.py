"""The board: rows pooled over seeds, and ranked only with what was measured alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vgbench.errors import DataError, UsageError
from vgbench.report.names import Contender, chosen_by, entry_names, grouped
from vgbench.report.published import Reported, reported_for
from vgbench.report.rows import RANKING_KEY, LeaderboardRow

_MOST_TIES = 8  # names of ties that an entry carries; the rank counts all of them


@dataclass(frozen=True)
class Entry:
    """One line of a table: a configuration of a method, over all its seeds.

    Attributes:
        model: Method, or the name of foreign videos; where a table has several configurations
            or checkpoints of it, with what tells them apart. Unique in its table.
        rows: One per seed, by seed: of training, or of the generated videos where all rows are of
            one training.
        mean: Mean of their values.
        sd: Standard deviation over seeds (n - 1), or None for one seed.
        n: Seeds.
        lo: Lower end of the 95 % interval: of the mean over seeds (Student's t), or of the one row;
            None where that has none.
        hi: Upper end.
        rank: 1 + how many entries are certainly better, their interval lying on the better side of
            this one's; None for what is not finite or not measured.
        ties: Names of the best of those whose intervals overlap this one's.
    """

    model: str
    rows: tuple[LeaderboardRow, ...]
    mean: float
    sd: float | None = None
    n: int = 1
    lo: float | None = None
    hi: float | None = None
    rank: int | None = None
    ties: tuple[str, ...] = ()

    @property
    def is_one_training(self) -> bool:
        """Whether its rows differ by the seed of the generated videos alone."""
        return len({row.seed_train for row in self.rows}) == 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What its rows say that is not standard about them, each once."""
        return tuple(dict.fromkeys(row.note for row in self.rows if row.note))


@dataclass(frozen=True)
class Table:
    """Entries that were measured alike: all of their rows agree in `RANKING_KEY`.

    Attributes:
        entries: Best first; never empty.
        reported: Published numbers for the data set and the metric: another protocol, no rank.
    """

    entries: tuple[Entry, ...]
    reported: tuple[Reported, ...] = ()

    @property
    def first(self) -> LeaderboardRow:
        """Any of its rows: what is in `RANKING_KEY` holds for all of them."""
        return self.entries[0].rows[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all entries, each once."""
        return tuple(dict.fromkeys(note for entry in self.entries for note in entry.notes))


def board(rows: Sequence[LeaderboardRow], *, every_checkpoint: bool = False) -> list[Table]:
    """Returns one table per set of rows that were measured alike, sorted by data set and metric.

    Of several checkpoints of one training the latest stands for it, and the one that was chosen
    by an evaluation (`selection`) beside it, as an entry of its own. An entry has the same name in
    all tables of a data set.

    Args:
        rows: Measured rows, in any order.
        every_checkpoint: Whether every checkpoint is an entry.
    """
    tables = []
    for own in _groups(rows, lambda row: (row.dataset, row.dataset_fingerprint)):
        names = entry_names({_contender(row, every_checkpoint): row for row in own})
        for alike in _groups(own, lambda row: row.ranking_key):
            pools = grouped(alike, lambda row: _contender(row, every_checkpoint))
            tables.append(rank({names[one]: pool for one, pool in pools.items()}))
    return tables


def rank(contenders: Mapping[str, Sequence[LeaderboardRow]]) -> Table:
    """Returns the table of contenders, each a name and its rows, which differ by seed alone.

    Raises:
        DataError: If any two rows were not measured alike; such are never ranked together.
    """
    every = [row for rows in contenders.values() for row in rows]
    if len({row.ranking_key for row in every}) != 1:
        names = [n for n in RANKING_KEY if len({getattr(row, n) for row in every}) > 1]
        raise DataError(f"rows that differ in {', '.join(names)} are never ranked together")
    first = every[0]
    entries = [_entry(name, _one_per_seed(_latest(rows))) for name, rows in contenders.items()]
    reported = reported_for(first.dataset, first.protocol_id.partition("/")[0])
    ordered = _ordered(entries, first.higher_is_better)
    is_measured = first.source == "measured"  # what is copied from papers has no rank
    ranked = _ranked(ordered, first.higher_is_better) if is_measured else tuple(ordered)
    return Table(ranked, reported)


def sort_by(tables: Sequence[Table], name: str) -> list[Table]:
    """Returns the tables with those of one metric first and all entries in the order of these.

    Args:
        tables: As `board` returns them.
        name: A metric, or a protocol's id or its first part: `FVD16`, `fvd16/vgbench@1`, `fvd16`.

    Raises:
        UsageError: If no table is of that metric.
    """
    if not any(name.lower() in _callings(table) for table in tables):
        known = ", ".join(sorted({table.first.metric for table in tables})) or "none"
        raise UsageError(f"no row of a metric or protocol '{name}'; metrics that have any: {known}")
    groups = grouped(tables, lambda t: (t.first.dataset, t.first.dataset_fingerprint))
    return [table for own in groups.values() for table in _in_order_of(own, name.lower())]


def _callings(table: Table) -> set[str]:
    protocol = table.first.protocol_id.lower()
    return {table.first.metric.lower(), protocol, protocol.partition("/")[0]}


def _in_order_of(tables: list[Table], name: str) -> list[Table]:
    tables = sorted(tables, key=lambda table: name not in _callings(table))
    places = {entry.model: i for i, entry in enumerate(tables[0].entries)}

    def place(entry: Entry) -> int:
        return places.get(entry.model, len(places))

    return [replace(table, entries=tuple(sorted(table.entries, key=place))) for table in tables]


def _contender(row: LeaderboardRow, every_checkpoint: bool) -> Contender:
    clips = row.clips_seen if every_checkpoint else None
    return Contender(row.model, row.config_sha256, chosen_by(row), clips)


def _latest(rows: Sequence[LeaderboardRow]) -> Sequence[LeaderboardRow]:
    # A chosen checkpoint lies elsewhere in each training; others are pooled at one position only.
    if chosen_by(rows[0]):
        return rows
    last = max(row.clips_seen or 0 for row in rows)
    return [row for row in rows if (row.clips_seen or 0) == last]


def _one_per_seed(rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """Returns the newest row of each training seed or, within one training, of each other seed.

    Rows of one training under several seeds of its videos are no independent trainings: beside
    other trainings, the lowest of these seeds stands for them.
    """
    newest = sorted(rows, key=lambda row: row.date, reverse=True)
    by_seed = grouped(newest, lambda row: -1 if row.seed_train is None else row.seed_train)
    if len(by_seed) == 1:
        by_seed = grouped(newest, lambda row: row.seed_gen)
    return [min(by_seed[seed], key=lambda row: row.seed_gen) for seed in sorted(by_seed)]


def _entry(name: str, rows: Sequence[LeaderboardRow]) -> Entry:
    if len(rows) == 1:
        (row,) = rows
        return Entry(name, (row,), row.value, lo=row.ci_lo, hi=row.ci_hi)
    from scipy.special import stdtrit

    values, n = np.array([row.value for row in rows]), len(rows)
    with np.errstate(invalid="ignore"):  # what is not finite stays so
        mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)
    return Entry(name, tuple(rows), mean, sd, n, mean - half, mean + half)


def _ordered(entries: list[Entry], higher_is_better: bool) -> list[Entry]:
    sign = -1.0 if higher_is_better else 1.0
    return sorted(entries, key=lambda e: (not math.isfinite(e.mean), sign * e.mean, e.model))


def _ranked(entries: list[Entry], higher_is_better: bool) -> tuple[Entry, ...]:
    """Returns ordered entries with rank and ties by their intervals."""
    sign = -1.0 if higher_is_better else 1.0
    ends = [(sign * _or(e.lo, e.mean), sign * _or(e.hi, e.mean)) for e in entries]
    low, high = np.sort(np.array(ends), axis=1).T
    ranked = []
    for i, entry in enumerate(entries):
        if not math.isfinite(entry.mean):
            ranked.append(entry)
            continue
        rank = 1 + int((high < low[i]).sum())
        overlapping = np.flatnonzero((low <= high[i]) & (high >= low[i]))
        ties = tuple(entries[j].model for j in overlapping[: _MOST_TIES + 1] if j != i)
        ranked.append(replace(entry, rank=rank, ties=ties[:_MOST_TIES]))
    return tuple(ranked)


def _or(end: float | None, mean: float) -> float:
    return mean if end is None else end


def _groups(
    rows: Sequence[LeaderboardRow], key: Callable[[LeaderboardRow], Any]
) -> list[list[LeaderboardRow]]:
    """Returns rows that agree in a key, sorted by it."""
    return [own for _, own in sorted(grouped(rows, key).items(), key=lambda item: str(item[0]))]
