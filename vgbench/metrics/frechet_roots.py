"""Fréchet distance by square roots of covariances, for protocols that reproduce tools using it.

tf-gan and its descendants take `Tr sqrt(S1 S2)` as the trace of `sqrt(A S2 A)` with `A = sqrt(S1)`,
each root from a singular value decomposition in which singular values below 1e-10 are left as they
are. Squaring costs half of the digits; `vgbench.metrics.frechet` is the accurate way.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike, NDArray

from vgbench.errors import DataError, ProtocolError

_SMALLEST = 1e-10  # singular values below it are not rooted


def frechet_distance_by_roots(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    ddof: int = 1,
    dtype: DTypeLike = np.float64,
) -> float:
    """Returns the Fréchet distance by square roots of covariances.

    Args:
        x: One set, n >= 2; the set whose covariance is rooted.
        y: The other, m >= 2.
        ddof: 1 divides scatter by n - 1, 0 by n.
        dtype: Arithmetic of everything; float32 is what features keep in these tools.

    Raises:
        ProtocolError: If a set has fewer than two rows.
        DataError: If a value is not finite.

    Source: tf-gan `trace_sqrt_product`, as it stands in DIGAN, VideoGPT and StyleInV.
    """
    if min(len(x), len(y)) < 2:
        raise ProtocolError(
            f"a Fréchet distance needs two samples or more on each side, got {len(x)} and {len(y)}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("features are not finite; check the weights of their extractor")
    x, y = x.astype(dtype), y.astype(dtype)
    mean_term = np.square(x.mean(axis=0) - y.mean(axis=0)).sum()
    cov_x, cov_y = _covariance(x, ddof), _covariance(y, ddof)
    root = _root(cov_x)
    trace_sqrt = np.trace(_root(root @ cov_y @ root))
    distance = mean_term + np.trace(cov_x) + np.trace(cov_y) - 2 * trace_sqrt
    return max(0.0, float(distance))


def _covariance(rows: NDArray[np.floating], ddof: int) -> NDArray[np.floating]:
    centred = rows - rows.mean(axis=0)
    return np.asarray(centred.T @ centred / (len(rows) - ddof))


def _root(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    left, singular, right = np.linalg.svd(matrix)
    rooted = np.where(singular < _SMALLEST, singular, np.sqrt(singular))
    return np.asarray((left * rooted) @ right)
