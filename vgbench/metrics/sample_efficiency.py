"""How many clips a statistic needs before its value says what that of all clips says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vgbench.errors import UsageError
from vgbench.seeds import stream_seed

TwoSample = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class CurvePoint:
    """A statistic at one number of samples.

    Attributes:
        n: Samples on each side.
        mean: Mean over subsets.
        sd: Standard deviation over subsets (ddof 1).
    """

    n: int
    mean: float
    sd: float


def sample_curve(
    statistic: TwoSample,
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    sizes: Sequence[int],
    *,
    subsets: int = 20,
    seed: int = 0,
) -> list[CurvePoint]:
    """Returns the mean of a statistic over random subsets of growing size.

    Args:
        statistic: From two sets of rows to a number.
        x: Real rows.
        y: Generated rows.
        sizes: Subset sizes, at most the smaller of the two sets.
        subsets: Subsets per size.
        seed: Key of the subsets.

    Raises:
        UsageError: If a size exceeds a set.
    """
    most = min(len(x), len(y))
    if max(sizes) > most:
        raise UsageError(f"sizes={list(sizes)}: at most {most}, the smaller set")
    points = []
    for n in sizes:
        values = [
            statistic(_subset(x, n, seed, 0, i), _subset(y, n, seed, 1, i)) for i in range(subsets)
        ]
        points.append(CurvePoint(n, float(np.mean(values)), float(np.std(values, ddof=1))))
    return points


def needed_samples(curve: Sequence[CurvePoint], tolerance: float = 0.05) -> int:
    """Returns the smallest size from which on every mean is near that of the largest size.

    Args:
        curve: Points in the order of their sizes.
        tolerance: Largest relative difference.
    """
    final = curve[-1].mean
    needed = curve[-1].n
    for point in reversed(curve):
        if abs(point.mean - final) > tolerance * abs(final):
            break
        needed = point.n
    return needed


def _subset(
    rows: Float[np.ndarray, "n d"], size: int, seed: int, side: int, number: int
) -> Float[np.ndarray, "size d"]:
    key = stream_seed(seed, "subset", size, side, number)
    words = np.random.Philox(key=key).random_raw(len(rows))
    return rows[np.argsort(words, kind="stable")[:size]]
