"""The leaderboard row: one measured number with all that decides it."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from vgbench.errors import DataError
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
        checkpoint_sha256: Hash of the checkpoint file, or of nothing for foreign videos.
        clips_seen: Training clips behind the checkpoint.
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
    checkpoint_sha256: str
    clips_seen: int | None
    selection: str = "none"
    source: Literal["measured", "paper"] = "measured"
    vgbench_version: str
    torch_version: str
    date: str

    @property
    def ranking_key(self) -> tuple[Any, ...]:
        """What must be equal for two rows to be ranked together."""
        return tuple(getattr(self, name) for name in RANKING_KEY)


_OUTER = ("model", "dataset")  # the first columns of a table; the note is its last
COLUMNS = (
    *_OUTER,
    *(f.name for f in fields(LeaderboardRow) if f.name not in (*_OUTER, "note")),
    "note",
)


def to_json(rows: Sequence[LeaderboardRow]) -> str:
    """Returns the rows of one evaluation as the text of its JSON file."""
    return json.dumps({"format": 1, "rows": [asdict(row) for row in rows]}, indent=2)


def read_json(path: Path) -> list[LeaderboardRow]:
    """Returns the rows of one evaluation file.

    Raises:
        DataError: If the file is not one of vgbench's.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return [LeaderboardRow(**record) for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not an evaluation file of this vgbench ({error})") from error


def collect(paths: Iterable[Path]) -> list[LeaderboardRow]:
    """Returns the rows of evaluation files, run folders and folders of runs.

    Raises:
        DataError: If a path does not exist or a file is not readable.
    """
    rows = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist; give a run folder or a file of its eval/")
        files = [path] if path.is_file() else sorted(path.glob("**/eval/*.json"))
        for file in files:
            rows += read_json(file)
    return rows


def ranked(rows: Sequence[LeaderboardRow]) -> list[list[LeaderboardRow]]:
    """Returns the rows in groups that were measured alike, each sorted from best to worst."""
    groups: dict[tuple[Any, ...], list[LeaderboardRow]] = {}
    for row in rows:
        groups.setdefault(row.ranking_key, []).append(row)
    for group in groups.values():
        group.sort(key=lambda r: (math.isnan(r.value), -r.value if r.higher_is_better else r.value))
    return [groups[key] for key in sorted(groups, key=str)]


def write_csv(rows: Sequence[LeaderboardRow], path: Path) -> None:
    """Writes rows as RFC 4180 CSV in UTF-8: stable columns, floats with full precision."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
    for name in ("clips_seen",):
        table[name] = table[name].astype("Int64")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    table.to_csv(temporary, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    temporary.replace(path)
