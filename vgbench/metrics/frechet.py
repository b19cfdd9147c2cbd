"""Fréchet distance of two sets of features, from triangular factors instead of covariances.

With centred rows `X` and `Y`, `Tr sqrt(S1 S2)` is the nuclear norm (sum of singular values) of
`X Yᵀ / sqrt((n-1)(m-1))`. Nothing is squared, so rank-deficient sets cost no digits, equal sets
give zero, and no square root of a matrix can turn complex.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from vgbench.errors import DataError, ProtocolError

# Rows join the factor in blocks of this many (or twice their length, if that is more): fewer
# decompositions than one per batch, and the same ones whatever the batch size.
_BLOCK_ROWS = 1024
# Directions with less of the squared product than this hold nothing that an interval could see.
_SMALLEST_SQUARED = 1e-13

_Moments = tuple[int, NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class FrechetTerms:
    """The parts of a Fréchet distance.

    Attributes:
        mean_term: Squared distance of the means.
        trace_sum: `Tr S1 + Tr S2`, the scale of rounding errors.
        trace_sqrt: `Tr sqrt(S1 S2)`.
    """

    mean_term: float
    trace_sum: float
    trace_sqrt: float

    @property
    def distance(self) -> float:
        """The distance; what rounding leaves below zero is zero."""
        return max(0.0, self.mean_term + self.trace_sum - 2 * self.trace_sqrt)


class GaussianStats:
    """Mean and covariance factor of a stream of feature rows, in float64.

    Memory is bounded by the length of a row, not by their number. `a + b` describes the rows of
    both, so shards, processes and interrupted runs merge by adding.

    Args:
        dim: Length of a row.

    Example:
        >>> stats = GaussianStats(2)
        >>> stats.update(np.array([[0.0, 0.0], [2.0, 0.0]]))
        >>> stats.n, stats.mean.tolist()
        (2, [1.0, 0.0])

    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979), carried from sums of squares to their triangular factors.
    """

    def __init__(self, dim: int) -> None:
        self._moments: _Moments = (0, np.zeros(dim), np.zeros((0, dim)))
        self._buffer = np.empty((max(_BLOCK_ROWS, 2 * dim), dim))
        self._buffered = 0

    @classmethod
    def of(cls, rows: Float[np.ndarray, "n d"]) -> "GaussianStats":
        """Returns the statistics of `rows`."""
        stats = cls(rows.shape[1])
        stats.update(rows)
        return stats

    @property
    def n(self) -> int:
        """Number of rows seen."""
        return self._moments[0] + self._buffered

    @property
    def mean(self) -> Float[np.ndarray, "d"]:
        """Mean of the rows seen."""
        self._fold()
        return self._moments[1]

    @property
    def factor(self) -> Float[np.ndarray, "r d"]:
        """`R` with `RᵀR` = sum over the rows of their centred outer products; r <= max(n, d)."""
        self._fold()
        return self._moments[2]

    def update(self, rows: Float[np.ndarray, "n d"]) -> None:
        """Adds rows; how they are divided among calls does not change the result.

        Raises:
            DataError: If a value is not finite.
        """
        if not np.isfinite(rows).all():
            raise DataError("features are not finite; check the weights of their extractor")
        while len(rows):
            room = len(self._buffer) - self._buffered
            taken, rows = rows[:room], rows[room:]
            self._buffer[self._buffered : self._buffered + len(taken)] = taken
            self._buffered += len(taken)
            if self._buffered == len(self._buffer):
                self._fold()

    def __add__(self, other: "GaussianStats") -> "GaussianStats":
        """Returns the statistics of the rows of both."""
        total = GaussianStats(len(self.mean))
        total._moments = _merge(
            (self.n, self.mean, self.factor), (other.n, other.mean, other.factor)
        )
        return total

    def _fold(self) -> None:
        if not self._buffered:
            return
        block = self._buffer[: self._buffered]
        mean = block.mean(axis=0)
        self._moments = _merge(self._moments, (len(block), mean, block - mean))
        self._buffered = 0


def frechet_terms(x: GaussianStats, y: GaussianStats, *, ddof: int = 1) -> FrechetTerms:
    """Returns the parts of the Fréchet distance of two sets.

    Args:
        x: One set.
        y: The other; rows of the same length.
        ddof: 1 divides scatter by n - 1, 0 by n.

    Raises:
        ProtocolError: If a set has fewer than two rows.

    Source: Dowson & Landau (1982), equation 4; Heusel et al. (2017), equation 6, in the form
    `Tr sqrt(S1 S2) = ||A1 A2ᵀ||_*` for any factors `Si = AiᵀAi`.
    """
    _refuse_one_row(x, y)
    free_x, free_y = x.n - ddof, y.n - ddof
    singular = np.linalg.svd(x.factor @ y.factor.T, compute_uv=False)
    return FrechetTerms(
        mean_term=float(np.square(x.mean - y.mean).sum()),
        trace_sum=float(np.square(x.factor).sum() / free_x + np.square(y.factor).sum() / free_y),
        trace_sqrt=float(singular.sum() / np.sqrt(free_x * free_y)),
    )


def frechet_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], *, ddof: int = 1
) -> float:
    """Returns the Fréchet distance of two sets of feature rows, computed in float64.

    Args:
        x: One set, n >= 2.
        y: The other, m >= 2.
        ddof: 1 divides scatter by n - 1, 0 by n.

    Raises:
        ProtocolError: If a set has fewer than two rows.
        DataError: If a value is not finite.

    Example:
        >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
        9.0
    """
    return frechet_terms(GaussianStats.of(x), GaussianStats.of(y), ddof=ddof).distance


def frechet_influence(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    stats: tuple[GaussianStats, GaussianStats] | None = None,
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "m"]]:
    """Returns how much each row moves the Fréchet distance, to first order; both sum to zero.

    Entry i is the derivative by the relative weight of row i. With `M = X Yᵀ` in units of the
    covariances and `M = U S Vᵀ`, row i of `X` contributes `2 (mx - my)·xi/n + |Xi|² - (U S Uᵀ)ii`.
    Its cost is one more decomposition of d x d numbers, also where n < d.

    Args:
        x: One set, n >= 2.
        y: The other, m >= 2.
        stats: Statistics of both, if they are known.

    Raises:
        ProtocolError: If a set has fewer than two rows.
        DataError: If a value is not finite.

    Source: derivative of the nuclear norm, `d ||M||_* = Tr(Vᵀ dMᵀ U)`.
    """
    stats_x, stats_y = stats or (GaussianStats.of(x), GaussianStats.of(y))
    _refuse_one_row(stats_x, stats_y)
    factor_x = stats_x.factor / np.sqrt(stats_x.n - 1)
    factor_y = stats_y.factor / np.sqrt(stats_y.n - 1)
    product = factor_x @ factor_y.T
    # Squaring costs half of the digits, which an interval can spare, and saves a tenfold of time.
    squared, right = (
        part.numpy() for part in torch.linalg.eigh(torch.from_numpy(product.T @ product))
    )
    is_used = squared > _SMALLEST_SQUARED * max(squared[-1], np.finfo(np.float64).tiny)
    singular, right = np.sqrt(squared[is_used]), right[:, is_used]
    left = product @ right / singular
    to_left, to_right = factor_y.T @ right, factor_x.T @ left
    shift = 2 * (stats_x.mean - stats_y.mean)
    return (
        _row_influence(x, stats_x.mean, shift, to_left / np.sqrt(singular)),
        _row_influence(y, stats_y.mean, -shift, to_right / np.sqrt(singular)),
    )


def _refuse_one_row(x: GaussianStats, y: GaussianStats) -> None:
    if min(x.n, y.n) < 2:
        raise ProtocolError(
            f"a Fréchet distance needs two samples or more on each side, got {x.n} and {y.n}"
        )


def _row_influence(
    rows: Float[np.ndarray, "n d"],
    mean: Float[np.ndarray, "d"],
    shift: Float[np.ndarray, "d"],
    root: Float[np.ndarray, "d k"],
) -> Float[np.ndarray, "n"]:
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        centred = rows[block] - mean
        spread = np.square(centred).sum(axis=1) - np.square(centred @ root).sum(axis=1)
        found[block] = centred @ shift / len(rows) + spread / (len(rows) - 1)
    return np.asarray(found - found.mean())


def _merge(a: _Moments, b: _Moments) -> _Moments:
    """Returns (n, mean, factor) of two sets together; any factor of the scatter will do."""
    (n_a, mean_a, factor_a), (n_b, mean_b, factor_b) = a, b
    n = n_a + n_b
    if n == 0:
        return a
    between = np.sqrt(n_a / n * n_b) * (mean_a - mean_b)
    factor = np.concatenate([factor_a, factor_b, between[None]])
    if len(factor) > factor.shape[1]:
        factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return n, mean_a + (mean_b - mean_a) * (n_b / n), factor
