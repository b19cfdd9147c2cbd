"""The data set `ripples`: coloured waves that run outwards from a point."""

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from vgbench.data.procedural import ProceduralSource


class Ripples(ProceduralSource):
    """Every video has its own centre, wavelength, speed and colour, keyed by seed and number."""

    name = "ripples"
    definition = "ripples/1"

    def render(self, i: int, times: Float64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns video `i` at any real times."""
        u = np.random.default_rng([self._options.seed, self._index(i)]).random(8)
        side = (np.arange(self._options.resolution) + 0.5) / self._options.resolution
        distance = np.hypot(side[:, None] - u[0], side[None, :] - u[1])
        wavelength, period = 0.2 + 0.3 * u[2], 8 + 16 * u[3]
        phase = distance / wavelength - times[:, None, None] / period + u[4]
        height = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
        return (255 * height[..., None] * (0.3 + 0.7 * u[5:])).astype(np.uint8)
