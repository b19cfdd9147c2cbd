"""Fréchet distance without the bias of a finite set: extrapolation in 1/n.

At n samples a side the distance is `a + b / n` on average, and b depends on the model, so a ranking
at fixed n can be wrong. `a` is what infinitely many clips would score.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vgbench.errors import ProtocolError
from vgbench.metrics.frechet import frechet_distance, frechet_influence
from vgbench.seeds import stream_seed

_SMALLEST = 200  # fewer samples leave the range in which the distance is linear in 1/n


@dataclass(frozen=True)
class InfinityFit:
    """A line through Fréchet distances against 1/n.

    Attributes:
        value: The distance at infinite n.
        standard_error: Of `value`: that of the fit and that of the finite set, combined.
        slope: Bias per 1/n; positive.
        r2: Share of the variance of the distances that the line explains.
        n_min: Smallest subset.
        n_max: Largest subset.
    """

    value: float
    standard_error: float
    slope: float
    r2: float
    n_min: int
    n_max: int


def frechet_infinity(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    points: int = 10,
    repeats: int = 5,
    ddof: int = 1,
    seed: int = 0,
) -> InfinityFit:
    """Returns the Fréchet distance extrapolated to infinitely many samples.

    Args:
        x: One set, n rows.
        y: The other, m rows.
        points: Subset sizes, evenly spaced in 1/n from max(200, d + 1) to min(n, m).
        repeats: Fresh random subsets of both sets per size.
        ddof: As in `frechet_distance`.
        seed: Key of the subsets.

    Raises:
        ProtocolError: If the sets are too small for a range of sizes above d.

    Source: Chong & Forsyth, "Effectively unbiased FID" (2020), section 4; weighted least squares
    with weights n, since the variance of a distance falls like 1/n.
    """
    n_max, n_min = min(len(x), len(y)), max(_SMALLEST, x.shape[1] + 1)
    if n_max < 2 * n_min:
        raise ProtocolError(
            f"extrapolation needs >= {2 * n_min} samples on each side for {x.shape[1]} features, "
            f"got {len(x)} and {len(y)}: the 1/n law holds above n = {n_min} only"
        )
    sizes = np.rint(1 / np.linspace(1 / n_min, 1 / n_max, points)).astype(int)
    distances = [
        frechet_distance(_subset(x, n, seed, 0, r), _subset(y, n, seed, 1, r), ddof=ddof)
        for n in sizes.tolist()
        for r in range(repeats)
    ]
    inverse, weight = np.repeat(1 / sizes, repeats), np.repeat(sizes, repeats).astype(np.float64)
    value, slope, error, r2 = _line(inverse, np.array(distances), weight)
    spread = sum(float(np.square(part).sum()) for part in frechet_influence(x, y))
    total = float(np.sqrt(error**2 + spread))
    return InfinityFit(value, total, slope, r2, int(sizes[0]), int(sizes[-1]))


def _subset(
    rows: Float[np.ndarray, "n d"], size: int, seed: int, side: int, repeat: int
) -> Float[np.ndarray, "size d"]:
    key = stream_seed(seed, "infinity", size, side, repeat)
    words = np.random.Philox(key=key).random_raw(len(rows))
    return rows[np.argsort(words, kind="stable")[:size]]


def _line(
    t: Float[np.ndarray, "k"], values: Float[np.ndarray, "k"], weight: Float[np.ndarray, "k"]
) -> tuple[float, float, float, float]:
    """Returns intercept, slope, standard error of the intercept, and r² of a weighted line."""
    design = np.stack([np.ones_like(t), t], axis=1)
    inverse = np.linalg.inv(design.T * weight @ design)
    intercept, slope = inverse @ (design.T * weight) @ values
    residual = weight * np.square(values - intercept - slope * t)
    centre = np.average(values, weights=weight)
    scatter = float((weight * np.square(values - centre)).sum())
    r2 = 1 - float(residual.sum()) / scatter if scatter > 0 else 1.0
    error = float(np.sqrt(residual.sum() / (len(t) - 2) * inverse[0, 0]))
    return float(intercept), float(slope), error, r2
