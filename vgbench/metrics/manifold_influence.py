"""What each row does to a share of manifolds: the share without it, for every row at once.

Precision, recall, density and coverage count memberships, so they have no derivative. An interval
takes the jackknife instead: the share as it is minus the share of all rows but one. A row that is
left out takes its ball with it, and the balls of the rows that had it among their k nearest
neighbours grow to the next one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from vgbench.errors import ProtocolError

Share = Literal["precision", "recall", "density", "coverage"]
_Without = tuple[NDArray[np.float64], NDArray[np.float64]]  # each ball, each point

_BLOCK_NUMBERS = 2**22


def manifold_influence(
    share: Share, real: Float[np.ndarray, "n d"], fake: Float[np.ndarray, "m d"], *, k: int = 5
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "m"]]:
    """Returns how much each row raises a share of `manifold_shares`; both parts sum to zero.

    Args:
        share: Which of the four.
        real: Reference rows, n > k + 1.
        fake: Generated rows, m > k + 1.
        k: Neighbours that set the radius.

    Raises:
        ProtocolError: If a set is too small to do without a row.

    Source: Efron & Stein, "The jackknife estimate of variance" (1981): on average it is not too
    small, whatever the statistic.
    """
    if min(len(real), len(fake)) <= k + 1:
        raise ProtocolError(
            f"an interval with k = {k} neighbours needs more than {k + 1} samples on each side, "
            f"got {len(real)} and {len(fake)}"
        )
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    if share == "coverage":
        without = _coverage_without(_Balls.of(real, k), fake)
    elif share == "recall":
        without = _members_without(_Balls.of(fake, k), real, share)[::-1]
    else:
        without = _members_without(_Balls.of(real, k), fake, share)
    return without[0].mean() - without[0], without[1].mean() - without[1]


@dataclass(frozen=True, eq=False)
class _Balls:
    """The balls around the rows of one set.

    Attributes:
        rows: Their centres.
        radius: Distance to the k-th nearest other row.
        grown: Distance to the one after it.
        loses: Entry (l, i) is 1 if row i is among the k nearest of row l.
        k: Neighbours that set the radius.
    """

    rows: NDArray[np.float64]
    radius: NDArray[np.float64]
    grown: NDArray[np.float64]
    loses: csr_array
    k: int

    @classmethod
    def of(cls, rows: NDArray[np.float64], k: int) -> "_Balls":
        n, distances, nearest = len(rows), [], []
        for block in _blocks(n, n):
            distance = cdist(rows[block], rows)
            own = np.arange(n)[block]
            distance[np.arange(len(own)), own] = np.inf
            order = np.argsort(distance, axis=1)[:, : k + 1]
            distances.append(np.take_along_axis(distance, order, axis=1))
            nearest.append(order[:, :k])
        found = np.concatenate(distances)
        starts = np.arange(0, n * k + 1, k)
        loses = csr_array((np.ones(n * k), np.concatenate(nearest).ravel(), starts), shape=(n, n))
        return cls(rows, found[:, k - 1], found[:, k], loses, k)


def _members_without(balls: _Balls, points: NDArray[np.float64], share: Share) -> _Without:
    """Returns precision, recall or density without each ball and without each point."""
    n, m = len(balls.rows), len(points)
    total, score = np.zeros(n), np.zeros(m)
    for block in _blocks(m, n):
        distance = cdist(balls.rows, points[block])
        inside = (distance < balls.radius[:, None]).astype(np.float64)
        ring = (distance < balls.grown[:, None]) - inside
        held = inside.sum(axis=0)
        left = held - inside + balls.loses.T @ ring
        if share == "density":
            held, left = held / balls.k, left / balls.k
        else:
            held, left = (held > 0).astype(np.float64), left > 0
        total += left.sum(axis=1)
        score[block] = held
    return total / m, (score.sum() - score) / (m - 1)


def _coverage_without(balls: _Balls, points: NDArray[np.float64]) -> _Without:
    """Returns coverage without each ball and without each point."""
    n, m = len(balls.rows), len(points)
    nearest = np.zeros(n, np.int64)
    first, second = np.zeros(n), np.zeros(n)
    for block in _blocks(n, m):
        distance = cdist(balls.rows[block], points)
        nearest[block] = distance.argmin(axis=1)
        first[block], second[block] = np.partition(distance, 1, axis=1)[:, :2].T
    covered = (first < balls.radius).astype(np.float64)
    gained = (first < balls.grown) - covered
    without_ball = (covered.sum() - covered + balls.loses.T @ gained) / (n - 1)
    alone = covered * (second >= balls.radius)  # covered by a single point
    lost = np.bincount(nearest, weights=alone, minlength=m)
    return without_ball, (covered.sum() - lost) / n


def _blocks(count: int, width: int) -> list[slice]:
    size = max(1, _BLOCK_NUMBERS // width)
    return [slice(start, start + size) for start in range(0, count, size)]
