"""Maximum mean discrepancies of two sets of features, from blocks of a kernel matrix.

With a kernel `k`, `MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y)`. The unbiased estimate leaves out
pairs of a row with itself, so it is zero on average over draws of equal distributions and single
values may be negative. The energy distance is the same estimate with `k = -|x - y|`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from vgbench.errors import DataError, ProtocolError

Estimate = Literal["unbiased", "biased", "u-statistic"]
Kernel = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

# A block of the kernel matrix holds at most this many numbers: 64 MiB.
_BLOCK_NUMBERS = 2**23
_MIXTURE = (0.2, 0.5, 1.0, 2.0, 5.0)  # exponents of the rational quadratic kernels


def minus_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> NDArray[np.float64]:
    """Returns `-|x - y|` for all pairs: the kernel of the energy distance."""
    return -np.asarray(cdist(x, y))


def cubic(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> NDArray[np.float64]:
    """Returns `(x·y / d + 1)³` for all pairs: the kernel of KID and KVD.

    Source: Bińkowski et al., "Demystifying MMD GANs" (2018), section 4.
    """
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def quadratic(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> NDArray[np.float64]:
    """Returns `(x·y / d)²` for all pairs: the kernel of JEDi."""
    return np.asarray((x @ y.T / x.shape[1]) ** 2)


@dataclass(frozen=True)
class RationalQuadratic:
    """The mean of `(1 + |x - y|² / (2 a s))^-a` over `a` = 0.2, 0.5, 1, 2, 5; bounded by 1.

    Attributes:
        scale: `s`, the squared distance that counts as one; the total variance of the reference.

    Source: Bińkowski et al. (2018), section 4, with `s` = 1 there.
    """

    scale: float

    @classmethod
    def of(cls, reference: Float[np.ndarray, "n d"]) -> "RationalQuadratic":
        """Returns the kernel scaled by the total variance of a reference set."""
        return cls(max(float(reference.var(axis=0).sum()), np.finfo(np.float64).tiny))

    def __call__(
        self, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
    ) -> NDArray[np.float64]:
        """Returns the kernel of all pairs."""
        squared = cdist(x, y, "sqeuclidean") / (2 * self.scale)
        return np.asarray(np.mean([(1 + squared / a) ** -a for a in _MIXTURE], axis=0))


def mmd(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    kernel: Kernel = cubic,
    *,
    estimate: Estimate = "unbiased",
) -> float:
    """Returns the squared maximum mean discrepancy of two sets of feature rows, in float64.

    Args:
        x: One set, n >= 2.
        y: The other, m >= 2; sizes may differ.
        kernel: From two sets of rows to their kernel matrix.
        estimate: `unbiased` leaves out the pairs of a row with itself, `biased` keeps them
            (V-statistic), `u-statistic` also leaves out the pairs (x_i, y_i) and needs n = m.

    Raises:
        ProtocolError: If a set has fewer than two rows, or sizes differ where they may not.
        DataError: If a value is not finite.

    Example:
        >>> mmd(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]]), minus_distance)
        2.0

    Source: Gretton et al., "A kernel two-sample test" (2012), equations 3 to 5.
    """
    n, m = len(x), len(y)
    own_x, own_y, across, _ = _row_sums(x, y, kernel, with_self=estimate == "biased")
    pairs_x, pairs_y = (n**2, m**2) if estimate == "biased" else (n * (n - 1), m * (m - 1))
    between = across.sum() / (n * m)
    if estimate == "u-statistic":
        if n != m:
            raise ProtocolError(f"a paired estimate needs sets of one size, got {n} and {m}")
        between = (across.sum() - _diagonal(x, y, kernel).sum()) / (n * (n - 1))
    value = own_x.sum() / pairs_x + own_y.sum() / pairs_y - 2 * between
    return float(value) + 0.0  # never -0.0


def mmd_influence(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], kernel: Kernel = cubic
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "m"]]:
    """Returns how much each row moves the unbiased estimate, to first order; both sum to zero.

    Entry i is the derivative by the relative weight of row i: its mean kernel with its own set
    minus that with the other, times 2 / n.
    """
    n, m = len(x), len(y)
    own_x, own_y, across_x, across_y = _row_sums(x, y, kernel, with_self=False)
    in_x = (own_x / (n - 1) - across_x / m) * 2 / n
    in_y = (own_y / (m - 1) - across_y / n) * 2 / m
    return in_x - in_x.mean(), in_y - in_y.mean()


def mmd_of_splits(
    rows: Float[np.ndarray, "n d"],
    in_x: Bool[np.ndarray, "n k"],
    kernel: Kernel = cubic,
    *,
    biased: bool = False,
) -> Float[np.ndarray, "k"]:
    """Returns the discrepancy between the two parts of `rows`, for each of `k` splits.

    Every entry of the kernel matrix is computed once for all splits and held for one block.

    Args:
        rows: Pooled feature rows.
        in_x: Column j says which rows are in the first part of split j.
        kernel: From two sets of rows to their kernel matrix.
        biased: Keep the pairs of a row with itself.

    Raises:
        ProtocolError: If a part has fewer than two rows.
        DataError: If a value is not finite.
    """
    n_x = in_x.sum(axis=0)
    n_y = len(rows) - n_x
    _check(rows, int(n_x.min()), int(n_y.min()))
    rows, in_x = rows.astype(np.float64), in_x.astype(np.float64)
    within_x, from_x, total = np.zeros(in_x.shape[1]), np.zeros(in_x.shape[1]), 0.0
    for block in _blocks(rows, rows):
        values = kernel(rows[block], rows)
        within_x += np.einsum("nk,nk->k", in_x[block], values @ in_x)
        to_all = values.sum(axis=1)
        from_x += to_all @ in_x[block]
        total += float(to_all.sum())
    between = from_x - within_x
    within_y = total - from_x - between
    if biased:
        result = within_x / n_x**2 + within_y / n_y**2 - 2 * between / (n_x * n_y)
        return np.asarray(result)
    own = _diagonal(rows, rows, kernel)
    within_x, within_y = within_x - own @ in_x, within_y - own @ (1 - in_x)
    result = within_x / (n_x * (n_x - 1)) + within_y / (n_y * (n_y - 1)) - 2 * between / (n_x * n_y)
    return np.asarray(result)


def mmd_subsets(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    size: int = 1000,
    subsets: int = 100,
    seed: int = 2020,
) -> tuple[float, float]:
    """Returns mean and standard deviation (ddof 0) of the cubic MMD² over random subsets.

    The subsets are those of torch-fidelity: `numpy.random.RandomState(seed)` draws, without
    replacement, `size` rows of `x` and then of `y`, `subsets` times.

    Raises:
        ProtocolError: If a set has fewer than `size` rows.
    """
    pairs = _subsets(len(x), len(y), size, subsets, seed)
    values = [mmd(x[in_x], y[in_y]) for in_x, in_y in pairs]
    return float(np.mean(values)), float(np.std(values))


def mmd_subsets_influence(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    size: int = 1000,
    subsets: int = 100,
    seed: int = 2020,
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "m"]]:
    """Returns how much each row moves the mean of `mmd_subsets`, to first order.

    A row counts as often as it was drawn, so the spread of drawing subsets is part of it.
    """
    moves = np.zeros(len(x)), np.zeros(len(y))
    for drawn in _subsets(len(x), len(y), size, subsets, seed):
        own = mmd_influence(x[drawn[0]], y[drawn[1]])
        for total, rows, part in zip(moves, drawn, own, strict=True):
            total[rows] += part / subsets
    return moves


def _subsets(
    n: int, m: int, size: int, subsets: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields the rows of either set that each pair of subsets has."""
    if min(n, m) < size:
        raise ProtocolError(f"subsets of {size} need as many samples on each side, got {n} and {m}")
    draws = np.random.RandomState(seed)
    for _ in range(subsets):
        yield draws.choice(n, size, replace=False), draws.choice(m, size, replace=False)


def _row_sums(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], kernel: Kernel, *, with_self: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns the sums of the kernel of each row: x to x, y to y, x to y, and y to x."""
    for rows in (x, y):
        _check(rows, len(x), len(y))
    x, y = x.astype(np.float64), y.astype(np.float64)
    own = [
        np.concatenate([kernel(z[block], z).sum(axis=1) for block in _blocks(z, z)])
        - (0 if with_self else _diagonal(z, z, kernel))
        for z in (x, y)
    ]
    across_x, across_y = np.zeros(len(x)), np.zeros(len(y))
    for block in _blocks(x, y):
        values = kernel(x[block], y)
        across_x[block] = values.sum(axis=1)
        across_y += values.sum(axis=0)
    return own[0], own[1], across_x, across_y


def _check(rows: Float[np.ndarray, "n d"], n_x: int, n_y: int) -> None:
    if min(n_x, n_y) < 2:
        raise ProtocolError(
            f"a distance of two sets needs two samples or more on each side, got {n_x} and {n_y}"
        )
    if not np.isfinite(rows).all():
        raise DataError("features are not finite; check the weights of their extractor")


def _blocks(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> list[slice]:
    size = max(1, _BLOCK_NUMBERS // len(y))
    return [slice(start, start + size) for start in range(0, len(x), size)]


def _diagonal(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"], kernel: Kernel
) -> NDArray[np.float64]:
    x, y = x.astype(np.float64), y.astype(np.float64)
    blocks = [slice(start, start + 256) for start in range(0, len(x), 256)]
    return np.concatenate([np.diagonal(kernel(x[block], y[block])) for block in blocks])
