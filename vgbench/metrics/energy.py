"""Unbiased energy distance of two sets of features."""

import numpy as np
from jaxtyping import Float

from vgbench.metrics.kernel import minus_distance, mmd


def energy_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """Returns `2 E|x - y| - E|x - x'| - E|y - y'|` with Euclidean distances, in float64.

    Pairs of a row with itself are left out, so the mean over draws of equal distributions is
    zero and single values may be negative.

    Args:
        x: One set, n >= 2.
        y: The other, m >= 2.

    Raises:
        ProtocolError: If a set has fewer than two rows.
        DataError: If a value is not finite.

    Example:
        >>> energy_distance(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]]))
        2.0

    Source: Székely & Rizzo, "Energy statistics" (2013), equation 1.
    """
    return mmd(x, y, minus_distance)
