"""The features of sets of clips, and the numbers that a protocol computes from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from vgbench.errors import DataError
from vgbench.metrics.extractors.jet import JetNormalizer
from vgbench.metrics.frechet import GaussianStats, frechet_terms
from vgbench.metrics.interval import Interval, bootstrap_interval, share_interval
from vgbench.metrics.normalise import ZScore
from vgbench.metrics.null import PermutationNull, permutation_null
from vgbench.metrics.protocol import EvalProtocol
from vgbench.metrics.statistics import Measured, measure
from vgbench.registry import EXTRACTORS
from vgbench.types import Score

__all__ = ["FeatureSet", "Numbers", "Rows", "Score", "numbers"]

# Sets differ in size, so the axes have no names.
Rows = Float[np.ndarray, "_n _dim"]
Videos = Int[np.ndarray, "_n"]


@dataclass(frozen=True)
class Numbers:
    """What a protocol computes; the fields of a `Score` that are measured.

    Attributes:
        value: The number.
        ci_lo: Lower end of its 95 % interval, or None.
        ci_hi: Upper end.
        floor: The number of the second real set against the first, or None.
        null_mean: Mean of the permutation null, or None.
        null_sd: Its standard deviation.
        null_z: Distance of the value from it.
        notes: For the row.
    """

    value: float
    ci_lo: float | None = None
    ci_hi: float | None = None
    floor: float | None = None
    null_mean: float | None = None
    null_sd: float | None = None
    null_z: float | None = None
    notes: tuple[str, ...] = ()


class FeatureSet:
    """The features of one set of clips, as rows or as the statistics of rows.

    Args:
        keep_rows: Whether single rows are needed later; if not, memory does not grow with them.
    """

    def __init__(self, *, keep_rows: bool) -> None:
        self.n = 0
        self._rows: list[Rows] | None = [] if keep_rows else None
        self._stats: GaussianStats | None = None

    def add(self, rows: Rows) -> None:
        """Adds feature rows.

        Raises:
            DataError: If a value is not finite.
        """
        if not np.isfinite(rows).all():
            raise DataError("features are not finite; check the weights of their extractor")
        self.n += len(rows)
        if self._rows is not None:
            self._rows.append(rows)
            return
        self._stats = self._stats or GaussianStats(rows.shape[1])
        self._stats.update(rows)

    @property
    def rows(self) -> Rows:
        """All rows in the order of the clips, as they came; only if they were kept."""
        assert self._rows is not None
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0]

    @property
    def stats(self) -> GaussianStats:
        """Mean and covariance factor of all rows."""
        return self._stats or GaussianStats.of(self.rows)


def numbers(
    protocol: EvalProtocol,
    sets: Mapping[str, FeatureSet],
    videos: Mapping[str, Videos] | None = None,
) -> Numbers:
    """Returns what a protocol computes from the features of its clips.

    Args:
        protocol: What to compute.
        sets: Features of the sets `real`, `fake` and, for a floor, `floor`. With several trials,
            one trial after the other.
        videos: For the sets `real` and `fake`, the video each row is from, where several rows may
            come from one; the interval resamples videos.
    """
    if not protocol.needs_rows:
        real = sets["real"].stats
        value, floor = (
            frechet_terms(real, sets[stage].stats, ddof=protocol.ddof).distance
            if stage in sets
            else None
            for stage in ("fake", "floor")
        )
        assert value is not None
        return Numbers(value, floor=floor)
    trials = [
        _trial(protocol, {stage: own.rows for stage, own in sets.items()}, trial, videos or {})
        for trial in range(protocol.trials)
    ]
    return trials[0] if len(trials) == 1 else _mean(trials)


def _trial(
    protocol: EvalProtocol, rows: Mapping[str, Rows], trial: int, videos: Mapping[str, Videos]
) -> Numbers:
    own = {stage: _part(every, trial, protocol.trials) for stage, every in rows.items()}
    labels = {stage: _part(every, trial, protocol.trials) for stage, every in videos.items()}
    if protocol.normalise != "none":
        normalise = _normaliser(protocol, own["real"])
        own = {stage: normalise(part) for stage, part in own.items()}
    measured = measure(protocol, own["real"], own["fake"])
    sizes = {stage: _videos(part, labels.get(stage)) for stage, part in own.items()}
    interval = _interval(protocol, measured, labels, sizes)
    floor = measure(protocol, own["real"], own["floor"]).value if "floor" in own else None
    null = _null(protocol, own["real"], own["fake"])
    return Numbers(
        value=measured.value,
        ci_lo=interval.low if interval else None,
        ci_hi=interval.high if interval else None,
        floor=floor,
        null_mean=null.mean if null else None,
        null_sd=null.sd if null else None,
        null_z=null.z if null else None,
        notes=measured.notes,
    )


def _normaliser(protocol: EvalProtocol, real: Rows) -> Callable[[Rows], Rows]:
    if protocol.normalise == "z-score":
        return ZScore.fit(real)
    return JetNormalizer.fit(real, EXTRACTORS.get(protocol.extractor).core)


def _part(rows: np.ndarray, trial: int, trials: int) -> np.ndarray:
    size = len(rows) // trials
    return rows[trial * size : (trial + 1) * size] if trials > 1 else rows


def _videos(rows: np.ndarray, labels: np.ndarray | None) -> int:
    return len(rows) if labels is None else len(np.unique(labels))


def _interval(
    protocol: EvalProtocol,
    measured: Measured,
    videos: Mapping[str, Videos],
    sizes: Mapping[str, int],
) -> Interval | None:
    if measured.standard_error is not None:
        half = 1.96 * measured.standard_error
        return Interval(measured.value - half, measured.value + half, measured.standard_error)
    if measured.influence is None:
        return None
    labels = (videos.get("real"), videos.get("fake"))
    found = bootstrap_interval(
        measured.value, measured.influence, videos=labels, seed=protocol.seed
    )
    if protocol.statistic == "density":
        return replace(found, low=max(found.low, 0.0))
    if protocol.higher_is_better:
        counted = "fake" if protocol.statistic == "precision" else "real"
        return share_interval(found, measured.value, sizes[counted])
    return found


def _null(protocol: EvalProtocol, real: Rows, fake: Rows) -> PermutationNull | None:
    if not protocol.null_splits:
        return None
    return permutation_null(
        protocol.statistic,
        real,
        fake,
        seed=protocol.seed,
        splits=protocol.null_splits,
        ddof=protocol.ddof,
    )


def _mean(trials: list[Numbers]) -> Numbers:
    """Returns the mean over trials; its interval is that of the mean of independent numbers."""
    values = np.array([trial.value for trial in trials])
    halves = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    mean = float(values.mean())
    floors = [trial.floor for trial in trials if trial.floor is not None]
    note = f"mean of {len(trials)} trials, sd {values.std(ddof=1):.4g}"
    return replace(
        trials[0],
        value=mean,
        ci_lo=mean - float(halves),
        ci_hi=mean + float(halves),
        floor=float(np.mean(floors)) if floors else None,
        notes=(note, *trials[0].notes),
    )
