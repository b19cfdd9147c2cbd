"""The leaderboard row: one measured number with all that decides it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vgbench.types import Score

# Rows that agree in all of these were measured alike and may be ranked with each other.
RANKING_KEY = (
    "dataset",
    "metric",
    "protocol_id",
    "protocol_hash",
    "feature_net_sha256",
    "preprocess_id",
    "n_real",
    "n_fake",
    "frames",
    "stride",
    "resolution",
    "dataset_fingerprint",
    "split",
    "ddof",
    "precision",
    "source",
)
# Rows that agree in all of these are the same measurement.
MEASUREMENT = (
    "model",
    *RANKING_KEY,
    "config_sha256",
    "checkpoint_sha256",
    "selection",
    "clips_seen",
    "seed_train",
    "seed_data",
    "seed_gen",
)


@dataclass(frozen=True, kw_only=True)
class LeaderboardRow(Score):
    """One number of one checkpoint under one protocol: a `Score` and where its clips come from.

    Attributes:
        model: Method, or the name given to foreign videos.
        dataset: Data set the reference videos come from.
        n_real_videos: Distinct real videos the real clips come from.
        n_fake_videos: Distinct generated videos.
        fps: Frame rate of the data set.
        dataset_fingerprint: Content hash of the data set.
        split: Part of the data set.
        seed_data: Seed of the choice of real clips.
        seed_gen: Seed of the generated videos.
        seed_train: Seed of the training run, or None for foreign videos.
        checkpoint_sha256: Hash of the checkpoint file, or empty for foreign videos.
        clips_seen: Training clips behind the checkpoint, or None.
        config: JSON object of the training options that are not the method's defaults.
        config_sha256: Hash of all that decides a training but its seed and where it ran: two rows
            that agree in it are the same thing trained with two seeds. Empty for foreign videos.
        selection: How the checkpoint was chosen: `none`, or `best-of-k by <metric>`.
        source: `measured` by vgbench, or copied from a `paper`.
        vgbench_version: Version that measured.
        torch_version: Its torch.
        date: UTC time of the measurement.
    """

    model: str
    dataset: str
    n_real_videos: int
    n_fake_videos: int
    fps: float
    dataset_fingerprint: str
    split: str
    seed_data: int
    seed_gen: int
    seed_train: int | None = None
    checkpoint_sha256: str
    clips_seen: int | None
    config: str = ""
    config_sha256: str = ""
    selection: str = "none"
    source: Literal["measured", "paper"] = "measured"
    vgbench_version: str
    torch_version: str
    date: str

    @property
    def row_sha256(self) -> str:
        """Hash of all its values; a stored row that no longer has it was changed.

        It finds slips and edits by hand; it is no signature, as anybody can compute it.
        """
        values = {name: getattr(self, name) for name in _FIELDS}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def measurement(self) -> tuple[Any, ...]:
        """What was measured and how: two rows that agree in it should agree in their value."""
        return tuple(getattr(self, name) for name in MEASUREMENT)

    @property
    def ranking_key(self) -> tuple[Any, ...]:
        """What must be equal for two rows to be ranked together."""
        return tuple(getattr(self, name) for name in RANKING_KEY)


_FIELDS = tuple(field.name for field in fields(LeaderboardRow))
_FIRST, _LAST = ("model", "dataset"), ("row_sha256", "note")
# Of a table; `row_sha256` is computed, the others are the row's.
COLUMNS = (*_FIRST, *(name for name in _FIELDS if name not in (*_FIRST, *_LAST)), *_LAST)


@dataclass(frozen=True)
class Column:
    """What may stand in a column.

    Attributes:
        kind: Type of its values.
        optional: Whether it may be empty (None).
        choices: The accepted values, or nothing for any.
    """

    kind: type
    optional: bool = False
    choices: tuple[str, ...] = ()


@cache
def schema() -> Mapping[str, Column]:
    """Returns what may stand in each of `COLUMNS`."""
    hints = {**get_type_hints(LeaderboardRow), "row_sha256": str}
    return MappingProxyType({name: _column(hints[name]) for name in COLUMNS})


def as_record(row: LeaderboardRow) -> dict[str, Any]:
    """Returns a row as plain values by column, as `COLUMNS` orders them."""
    return {name: getattr(row, name) for name in COLUMNS}


def _column(hint: Any) -> Column:
    if get_origin(hint) is Literal:
        return Column(str, choices=get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        kind, _ = get_args(hint)
        return Column(kind, optional=True)
    return Column(hint)
