"""Normalisations of features that are fitted to the real set."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vgbench.errors import ProtocolError

_SMALLEST = 1e-3  # of the typical spread: a channel that is constant on real clips stays bounded


@dataclass(frozen=True)
class ZScore:
    """Z-scores relative to a reference set.

    Attributes:
        mean: Mean of each feature over the reference set.
        sd: Its standard deviation (ddof 0), at least 1e-3 of their root mean square.
    """

    mean: Float[np.ndarray, "dim"]
    sd: Float[np.ndarray, "dim"]

    @classmethod
    def fit(cls, rows: Float[np.ndarray, "n dim"]) -> "ZScore":
        """Returns the normaliser of a reference set.

        Raises:
            ProtocolError: If the set has fewer than two rows.
        """
        if len(rows) < 2:
            raise ProtocolError(f"a reference set needs two clips or more, got {len(rows)}")
        rows = rows.astype(np.float64)
        sd = rows.std(axis=0)
        smallest = max(_SMALLEST * float(np.sqrt(np.square(sd).mean())), 1e-12)
        return cls(rows.mean(axis=0), np.maximum(sd, smallest))

    def __call__(self, rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Returns normalised float64 features."""
        scored: Float[np.ndarray, "n dim"] = (rows.astype(np.float64) - self.mean) / self.sd
        return scored
