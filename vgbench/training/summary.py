"""What the folder of a run tells about it, read in a moment and without torch."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunSummary:
    """Where a run stands.

    Attributes:
        state: As in `status.json`; `new` where there is none.
        kclips: Clips shown so far, in thousands, by the stage it is in or by the model itself.
        clips_per_second: Mean over the training of the model itself; None before its first record.
        seconds: Time that was spent on training, that of stages trained here included.
        watched: Latest number of the evaluation while training; None where there is none.
        checkpoint: The last checkpoint; None where there is none.
    """

    state: str
    kclips: float
    clips_per_second: float | None
    seconds: float
    watched: float | None
    checkpoint: Path | None


def summarise(path: Path, watched: str) -> RunSummary:
    """Returns the summary of a run, however it ended.

    Args:
        path: Folder of the run, which need not exist.
        watched: Id of the protocol that is evaluated while training.
    """
    status = _status(path)
    rows = _rows(path / "metrics.csv")
    stages = [row for file in path.glob("stages/*/metrics.csv") for row in _rows(file)]
    clips, seconds = _spent(rows)
    last = path / "checkpoints" / "last.ckpt"
    return RunSummary(
        state=str(status.get("state", "new")),
        kclips=int(status.get("clips_seen", 0)) / 1000,
        clips_per_second=clips / seconds if seconds else None,
        seconds=seconds + _spent(stages)[1],
        watched=next((float(row[watched]) for row in reversed(rows) if row.get(watched)), None),
        checkpoint=last if last.is_file() else None,
    )


def is_done(path: Path) -> bool:
    """Returns whether the run in a folder has come to its end."""
    return _status(path).get("state") == "done"


def _status(path: Path) -> dict[str, Any]:
    try:
        status = json.loads((path / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        # A killed run may leave half a row.
        return [row for row in csv.DictReader(opened) if row.get("clips_per_second")]


def _spent(rows: list[dict[str, str]]) -> tuple[int, float]:
    """Returns the clips that the rows of runs report, and the seconds they took."""
    total, seconds, before = 0, 0.0, 0
    for row in rows:
        seen = int(row["clips_seen"])
        clips = seen - before if seen > before else seen  # the next file begins
        seconds += clips / max(float(row["clips_per_second"]), 1e-9)
        total, before = total + clips, seen
    return total, seconds
