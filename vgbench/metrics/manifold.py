"""Precision, recall, density and coverage of generated features, from k-nearest-neighbour balls.

A set's manifold is the union of balls around its rows; the radius of a ball is the distance to the
row's k-th neighbour in its own set, the row itself not counted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from vgbench.errors import DataError, ProtocolError

_BLOCK_NUMBERS = 2**23


@dataclass(frozen=True)
class ManifoldShares:
    """How much of each set lies near the other; higher is better.

    Attributes:
        precision: Share of generated rows inside some real ball: are they realistic?
        recall: Share of real rows inside some generated ball: is everything generated?
        density: Real balls that hold a generated row, on average, over k; robust to outliers, not
            bounded by 1.
        coverage: Share of real balls that hold a generated row; about `1 - 2^-k` at best.
        ties: Rows whose ball has no extent because k others equal them, e.g. frozen copies. No row
            is strictly inside such a ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    ties: int


def manifold_shares(
    real: Float[np.ndarray, "n d"],
    fake: Float[np.ndarray, "m d"],
    *,
    k: int = 5,
    closed: bool = False,
) -> ManifoldShares:
    """Returns precision, recall, density and coverage of `fake`, distances in float64.

    Args:
        real: Reference rows, n > k.
        fake: Generated rows, m > k; numbers compare only for equal n and m.
        k: Neighbours that set the radius.
        closed: Balls contain their surface, as torch-fidelity has it; differs with ties only.

    Raises:
        ProtocolError: If a set has no k-th neighbour.
        DataError: If a value is not finite.

    Source: Kynkäänniemi et al., "Improved precision and recall" (2019), equation 2; Naeem et al.,
    "Reliable fidelity and diversity metrics" (2020), equations 4 and 5 (strict `<`, as their code).
    """
    if min(len(real), len(fake)) <= k:
        raise ProtocolError(
            f"k = {k} neighbours need more than {k} samples on each side, "
            f"got {len(real)} and {len(fake)}"
        )
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise DataError("features are not finite; check the weights of their extractor")
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    radius_real, radius_fake = neighbour_distances(real, k), neighbour_distances(fake, k)
    balls_of_fake = np.zeros(len(fake))  # real balls that hold each generated row
    is_recalled, is_covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for block in _blocks(real, fake):
        distance = cdist(real[block], fake)
        limits = radius_real[block, None], radius_fake[None]
        in_real, in_fake = (distance <= r if closed else distance < r for r in limits)
        balls_of_fake += in_real.sum(axis=0)
        is_covered[block] = in_real.any(axis=1)
        is_recalled[block] = in_fake.any(axis=1)
    return ManifoldShares(
        precision=float((balls_of_fake > 0).mean()),
        recall=float(is_recalled.mean()),
        density=float(balls_of_fake.mean() / k),
        coverage=float(is_covered.mean()),
        ties=int((radius_real == 0).sum() + (radius_fake == 0).sum()),
    )


def neighbour_distances(rows: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, "n"]:
    """Returns each row's distance to its k-th nearest other row."""
    found: list[NDArray[np.float64]] = []
    for block in _blocks(rows, rows):
        distance = cdist(rows[block], rows)
        own = np.arange(len(rows))[block]
        distance[np.arange(len(own)), own] = np.inf
        found.append(np.partition(distance, k - 1, axis=1)[:, k - 1])
    return np.concatenate(found)


def nearest_distances(
    rows: Float[np.ndarray, "n d"], others: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n"]:
    """Returns each row's distance to the nearest of `others`."""
    return np.concatenate(
        [cdist(rows[block], others).min(axis=1) for block in _blocks(rows, others)]
    )


def _blocks(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> list[slice]:
    size = max(1, _BLOCK_NUMBERS // len(y))
    return [slice(start, start + size) for start in range(0, len(x), size)]
