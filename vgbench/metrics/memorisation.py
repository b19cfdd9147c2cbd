"""Whether a generator copies: generated rows that are nearer to a real one than real ones are."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vgbench.errors import ProtocolError
from vgbench.metrics.manifold import nearest_distances, neighbour_distances


@dataclass(frozen=True)
class Memorisation:
    """Nearest-neighbour distances of generated rows against those among real rows.

    Attributes:
        share: Share of generated rows below the threshold; the quantile itself (1 %) is what new
            videos of the real distribution score.
        threshold: Quantile of the real rows' distances to their nearest other real row.
        nearest_real: Distance of each generated row to its nearest real one.
        among_real: Distance of each real row to its nearest other.
    """

    share: float
    threshold: float
    nearest_real: Float[np.ndarray, "m"]
    among_real: Float[np.ndarray, "n"]


def memorisation(
    real: Float[np.ndarray, "n d"], fake: Float[np.ndarray, "m d"], *, quantile: float = 0.01
) -> Memorisation:
    """Returns how many generated rows are suspiciously near to a training row.

    Rows may be of clips or of single frames; of frames of one video only one should be given,
    since its neighbours in time are nearer to it than any other video.

    Args:
        real: Rows of training clips or frames, n >= 2.
        fake: Rows of generated ones.
        quantile: Of the distances among real rows, below which a generated row counts.

    Raises:
        ProtocolError: If there are fewer than two real rows.
    """
    if len(real) < 2 or len(fake) < 1:
        raise ProtocolError(
            f"memorisation needs two real samples and one fake, got {len(real)} and {len(fake)}"
        )
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    among_real, nearest = neighbour_distances(real, 1), nearest_distances(fake, real)
    # The lower of the neighbouring order statistics, so that ties at zero do not count themselves.
    threshold = float(np.quantile(among_real, quantile, method="lower"))
    is_copy = nearest < threshold if threshold > 0 else nearest <= threshold
    return Memorisation(float(is_copy.mean()), threshold, nearest, among_real)
