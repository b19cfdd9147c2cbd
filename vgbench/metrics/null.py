"""Permutation null: what a statistic is worth when both sets come from one distribution."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vgbench.metrics.kernel import mmd_of_splits
from vgbench.metrics.protocol_record import StatisticName
from vgbench.metrics.statistics import kernel_of, two_sample
from vgbench.seeds import stream_seed

_KERNELS = ("energy", "mmd-poly3", "mmd-rational-quadratic")


@dataclass(frozen=True)
class PermutationNull:
    """Spread of a statistic over random re-splits of the pooled sets.

    Attributes:
        mean: Mean over the re-splits.
        sd: Their standard deviation (ddof 1).
        z: (value - mean) / sd of the actual split; None where all re-splits are equal.
    """

    mean: float
    sd: float
    z: float | None


def permutation_null(
    statistic: StatisticName,
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    seed: int = 0,
    splits: int = 24,
    ddof: int = 1,
) -> PermutationNull:
    """Returns mean, spread and z-score of a statistic under random re-splits of both sets.

    Rows are permuted as if independent: correlated clips make z a way to compare responses, not
    a p-value.

    Args:
        statistic: Name of a statistic of `vgbench.metrics.statistics`.
        x: One set, n >= 2.
        y: The other, m >= 2.
        seed: Key of the re-splits; they depend on it and on n and m alone.
        splits: Number of re-splits, at least 2.
        ddof: As in `frechet_distance`.
    """
    rows = np.concatenate([x, y])
    in_x = random_splits(len(x), len(y), seed=seed, splits=splits)
    if statistic in _KERNELS:
        values = mmd_of_splits(rows, in_x, kernel_of(statistic, x))
    else:
        values = np.array([two_sample(statistic, rows[s], rows[~s], ddof=ddof) for s in in_x.T])
    value = two_sample(statistic, x, y, ddof=ddof)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    return PermutationNull(mean, sd, (value - mean) / sd if sd > 0 else None)


def random_splits(n: int, m: int, *, seed: int, splits: int) -> Bool[np.ndarray, "rows splits"]:
    """Returns random memberships of n + m rows; each column has n rows in its first part.

    Keyed by (seed, split) through raw Philox words, whose stream is the same in every version of
    NumPy, which its `Generator` methods do not promise.
    """
    in_x = np.zeros((n + m, splits), dtype=np.bool_)
    for split in range(splits):
        words = np.random.Philox(key=stream_seed(seed, "null", split)).random_raw(n + m)
        in_x[np.argsort(words, kind="stable")[:n], split] = True
    return in_x
