"""All the ways to turn two sets of features into a number, by name.

Each is a pure function of its own module; this is the one place that maps the names of protocols
to them.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from vgbench.metrics.frechet import (
    GaussianStats,
    frechet_distance,
    frechet_influence,
    frechet_terms,
)
from vgbench.metrics.frechet_roots import frechet_distance_by_roots
from vgbench.metrics.infinity import frechet_infinity
from vgbench.metrics.kernel import (
    Kernel,
    RationalQuadratic,
    cubic,
    minus_distance,
    mmd,
    mmd_influence,
    mmd_subsets,
    quadratic,
)
from vgbench.metrics.manifold import manifold_shares
from vgbench.metrics.manifold_influence import Share, manifold_influence
from vgbench.metrics.protocol_record import EvalProtocol, StatisticName

Influence = tuple[NDArray[np.float64], NDArray[np.float64]]

_SHARES: dict[str, Share] = {share: share for share in get_args(Share)}
_POLY2_SCALE = 100  # JEDi prints its discrepancy times 100


@dataclass(frozen=True)
class Measured:
    """A number and how sure it is.

    Attributes:
        value: The number.
        influence: First-order effect of each row of either set on it; None where there is none.
        standard_error: Of the value, where the statistic brings its own.
        notes: What else the statistic says.
    """

    value: float
    influence: Influence | None = None
    standard_error: float | None = None
    notes: tuple[str, ...] = ()


def two_sample(
    statistic: StatisticName,
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    ddof: int = 1,
    neighbours: int | None = 5,
    seed: int = 0,
) -> float:
    """Returns the named statistic of two sets of feature rows.

    Args:
        statistic: Its name.
        x: Real rows.
        y: Generated rows.
        ddof: For Fréchet distances, 1 divides scatter by n - 1.
        neighbours: For shares of manifolds, the neighbours that set a radius.
        seed: For what draws subsets, their key.
    """
    if statistic == "frechet":
        return frechet_distance(x, y, ddof=ddof)
    if statistic == "frechet-infinity":
        return frechet_infinity(x, y, ddof=ddof, seed=seed).value
    if statistic == "mmd-poly3-subsets":
        return mmd_subsets(x, y, seed=seed)[0]
    if statistic == "mmd-poly2-v":
        return _POLY2_SCALE * mmd(x, y, quadratic, estimate="biased")
    if statistic in _SHARES:
        assert neighbours is not None
        share: float = getattr(manifold_shares(x, y, k=neighbours), statistic)
        return share
    return mmd(x, y, kernel_of(statistic, x))


def kernel_of(statistic: StatisticName, reference: Float[np.ndarray, "n d"]) -> Kernel:
    """Returns the kernel of an unbiased discrepancy; `reference` is the real set."""
    if statistic == "mmd-rational-quadratic":
        return RationalQuadratic.of(reference)
    return {"energy": minus_distance, "mmd-poly3": cubic}[statistic]


def measure(
    protocol: EvalProtocol, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Measured:
    """Returns the statistic of a protocol, with what an interval is made from.

    Args:
        protocol: What to compute.
        x: Real rows, normalised as the protocol says.
        y: Generated rows, likewise.
    """
    statistic, ddof = protocol.statistic, protocol.ddof
    if statistic == "frechet":
        stats = GaussianStats.of(x), GaussianStats.of(y)
        if protocol.square_root == "exact":
            value = frechet_terms(*stats, ddof=ddof).distance
        else:
            dtype = np.dtype(protocol.arithmetic)
            value = frechet_distance_by_roots(x, y, ddof=ddof, dtype=dtype)
        return Measured(value, frechet_influence(x, y, stats))
    if statistic == "frechet-infinity":
        fit = frechet_infinity(x, y, ddof=ddof, seed=protocol.seed)
        note = f"slope {fit.slope:.4g}, r2 {fit.r2:.3f}, n from {fit.n_min} to {fit.n_max}"
        return Measured(fit.value, standard_error=fit.standard_error, notes=(note,))
    if statistic == "mmd-poly3-subsets":
        mean, sd = mmd_subsets(x, y, seed=protocol.seed)
        influence = mmd_subsets_influence(x, y, seed=protocol.seed)
        return Measured(mean, influence, notes=(f"sd over subsets {sd:.4g}",))
    if statistic in ("energy", "mmd-poly3", "mmd-rational-quadratic"):
        kernel = kernel_of(statistic, x)
        return Measured(mmd(x, y, kernel), mmd_influence(x, y, kernel))
    value = two_sample(statistic, x, y, neighbours=protocol.neighbours)
    share = _SHARES.get(statistic)
    if share is None:
        return Measured(value)
    assert protocol.neighbours is not None
    return Measured(value, manifold_influence(share, x, y, k=protocol.neighbours))
