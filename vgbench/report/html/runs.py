"""What a report shows of one run, read from its folder."""

import csv
import json
import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vgbench.errors import DataError, UsageError
from vgbench.report.compare import flatten
from vgbench.report.html.charts import Chart, Point, Series, draw
from vgbench.report.html.pictures import Picture, picture_of, slice_of
from vgbench.report.names import grouped
from vgbench.report.row_files import read_rows
from vgbench.report.rows import LeaderboardRow

_SPEED = "clips_per_second"
# Columns of metrics.csv that are no losses; those of protocols hold their version after an `@`.
_NOT_LOSSES = {"clips_seen", _SPEED, "best"}


@dataclass(frozen=True)
class RunRecord:
    """A run folder as a report shows it.

    Attributes:
        path: The folder.
        name: What it is called in the report.
        number: Its number in the page, from 0.
        rows: What was measured of it.
    """

    path: Path
    name: str
    number: int
    rows: tuple[LeaderboardRow, ...] = field(default=(), repr=False)

    @property
    def anchor(self) -> str:
        """Name of its place in the page."""
        return f"run-{self.number}"

    @property
    def dataset(self) -> str:
        """Data set it trained on."""
        return str(self.config.get("dataset_name", ""))

    @cached_property
    def by_key(self) -> dict[tuple[Any, ...], list[LeaderboardRow]]:
        """Its rows in lists that were measured alike."""
        return grouped(self.rows, lambda row: row.ranking_key)

    @cached_property
    def command(self) -> str:
        """The words that repeat the run, quoted for a shell."""
        return shlex.join(["vgbench", "run", *self._text("overrides.txt").splitlines()])

    @cached_property
    def config_text(self) -> str:
        """Every option of the run, as YAML."""
        return self._text("config.yaml")

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every option of the run.

        Raises:
            DataError: If its config.yaml cannot be read.
        """
        try:
            found = yaml.safe_load(self.config_text) or {}
        except yaml.YAMLError as error:
            raise DataError(f"{self.path / 'config.yaml'} is not YAML ({error})") from error
        return found if isinstance(found, dict) else {}

    @cached_property
    def environment(self) -> dict[str, str]:
        """Versions, device and source state as one text each."""
        found = flatten(self._json("environment.json")).items()
        return {name.removeprefix("versions.").replace(".", " "): text for name, text in found}

    @cached_property
    def status(self) -> dict[str, Any]:
        """Where the run stands: state, clips_seen, time."""
        return self._json("status.json")

    @cached_property
    def history(self) -> "History":
        """What was logged while training."""
        return History.read(self.path / "metrics.csv")

    @cached_property
    def losses(self) -> list[Chart]:
        """Training curves of the model and of each of its stages."""
        folders = [*sorted(self.path.glob("stages/*")), self.path]
        charts = []
        for folder in folders:
            history = self.history if folder == self.path else History.read(folder / "metrics.csv")
            name = self.name if folder == self.path else f"stage {folder.name}"
            charts.append(draw(name, "kclips", "loss", history.losses()))
        return [chart for chart in charts if chart is not None]

    @cached_property
    def sample(self) -> Picture | None:
        """The newest samples that training left."""
        return picture_of(self.path / "samples")

    @cached_property
    def slice(self) -> Picture | None:
        """One row of pixels of these samples over time."""
        return None if self.sample is None else slice_of(self.sample)

    def _text(self, name: str) -> str:
        path = self.path / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(self._text(name) or "{}")
        except ValueError as error:
            raise DataError(f"{self.path / name} is not JSON ({error})") from error
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class History:
    """The scalars of `metrics.csv`: per column the points (clips seen, value)."""

    columns: Mapping[str, tuple[Point, ...]]

    @classmethod
    def read(cls, path: Path) -> "History":
        """Returns the scalars of a file; none where it does not exist."""
        columns: dict[str, list[Point]] = {}
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    _add(columns, row)
        return cls({name: tuple(points) for name, points in columns.items()})

    def losses(self) -> list[Series]:
        """Returns the curves of everything but speed and evaluations, over kclips."""
        names = [name for name in self.columns if name not in _NOT_LOSSES and "@" not in name]
        return [
            Series(name, i, tuple(Point(p.x / 1000, p.y) for p in self.columns[name]))
            for i, name in enumerate(names)
        ]

    def evaluations(self, protocol_id: str) -> tuple[Point, ...]:
        """Returns what was measured under a protocol while training; a value is logged often."""
        points = self.columns.get(protocol_id, ())
        return tuple(p for i, p in enumerate(points) if i == 0 or points[i - 1].y != p.y)

    def hours(self, clips: float) -> float:
        """Returns hours of training up to a number of clips, by the speed that was logged."""
        speed = [p for p in self.columns.get(_SPEED, ()) if p.y > 0]
        seen = np.array([0.0, *(p.x for p in speed)])
        took = np.diff(seen) / np.array([p.y for p in speed]) if speed else np.array([])
        if not speed or clips > seen[-1]:
            return math.nan
        return float(np.interp(clips, seen, np.concatenate([[0.0], np.cumsum(took)]))) / 3600


def _add(columns: dict[str, list[Point]], row: Mapping[str, str]) -> None:
    """Adds the numbers of one line; cells that are empty or no number are left out."""
    numbers = {name: number for name, cell in row.items() if (number := _number(cell)) is not None}
    clips = numbers.pop("clips_seen", None)
    for name, number in numbers.items():
        if clips is not None:
            columns.setdefault(name, []).append(Point(clips, number))


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def read_run(path: Path, number: int) -> RunRecord:
    """Returns a run folder with all that was measured of it.

    Raises:
        UsageError: If it is none.
        DataError: If one of its evaluation files is not readable.
    """
    if not (path / "config.yaml").is_file():
        raise UsageError(f"{path} is not a run folder: it holds no config.yaml")
    files = sorted((path / "eval").glob("*.json"))
    rows = tuple(row for file in files for row in read_rows(file))
    return RunRecord(path, path.resolve().name, number, rows)


def run_of(file: Path) -> Path | None:
    """Returns the run folder of an evaluation file `RUN/eval/*.json`; None for any other."""
    folder = file.resolve().parent
    is_run = folder.name == "eval" and (folder.parent / "config.yaml").is_file()
    return folder.parent if is_run else None


def named(paths: Iterable[Path]) -> dict[Path, str]:
    """Returns a name per folder: its own, or the whole path where two are called alike."""
    paths = list(paths)
    last = [path.name for path in paths]
    return {path: path.name if last.count(path.name) == 1 else str(path) for path in paths}
