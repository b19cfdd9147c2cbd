"""Options of a motion encoder; importing this module does not import torch."""

import math
from dataclasses import dataclass

from vgbench.errors import UsageError

CURVES = ("linear", "bspline", "bspline-time", "smooth")
TRAJECTORIES = ("conv", "lstm")

# Frames between control points that suit a data set: short for faces and bodies, long for scenes.
# Source: universome/stylegan-v README; genforce/StyleSV `scripts`; taichi_hd is our reading.
DISTANCES = {"ffs": 16, "sky_timelapse": 256, "taichi_hd": 16, "youtube_driving": 256}


@dataclass(frozen=True)
class MotionConfig:
    """Options of a motion encoder.

    Attributes:
        z_dim: Numbers per noise vector.
        v_dim: Numbers per control point.
        distance: Frames between control points: how slow the motion is.
        frequencies: Sine waves of the time encoder; the code has twice as many numbers.
        min_period: Shortest period of a wave in frames, before it is modulated; 0 for `distance`.
        max_period: Longest.
        kernel: Noise vectors that a control point depends on, in each of two convolutions.
        trajectory: `conv`, or `lstm` as in MoCoGAN.
        curve: `linear`: control points interpolated linearly, as in StyleGAN-V, with a kink at
            each. `bspline`: quadratic B-spline, but frequencies that switch at each control point
            (StyleSV as released). `bspline-time`: frequencies blended as well (its `bs_emb`),
            which speeds up with time. `smooth`: blended frequencies integrated over time, so
            that neither happens.
        fourier: Whether there is a time encoder; without one the code is a small network's
            output at the interpolated control point.
    """

    z_dim: int = 512
    v_dim: int = 512
    distance: int = 16
    frequencies: int = 256
    min_period: int = 0
    max_period: int = 1024
    kernel: int = 11
    trajectory: str = "conv"
    curve: str = "smooth"
    fourier: bool = True

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        for name in ("z_dim", "v_dim", "distance", "frequencies", "kernel"):
            self._require(name, getattr(self, name) >= 1, "an integer >= 1")
        self._require("min_period", self.min_period >= 0, "frames, or 0 for motion.distance")
        longest = self.max_period >= self.shortest_period
        self._require("max_period", longest, f"at least the shortest, {self.shortest_period}")
        self._require("trajectory", self.trajectory in TRAJECTORIES, _one_of(TRAJECTORIES))
        self._require("curve", self.curve in CURVES, _one_of(CURVES))

    def _require(self, name: str, accepted: bool, expected: str) -> None:
        if not accepted:
            raise UsageError(f"motion.{name}={getattr(self, name)}: expected {expected}")

    @property
    def shortest_period(self) -> int:
        """Shortest period of a wave in frames, before it is modulated."""
        return self.min_period or self.distance

    @property
    def dim(self) -> int:
        """Numbers of a motion code."""
        return 2 * self.frequencies if self.fourier else self.v_dim

    def noise_length(self, last: int | float) -> int:
        """Returns the noise vectors that a video up to time `last`, in frames, needs."""
        beyond = 2 if self.curve == "linear" else 4
        padding = 2 * (self.kernel - 1) if self.trajectory == "conv" else 0
        return math.ceil(last / self.distance) + beyond + padding


def _one_of(names: tuple[str, ...]) -> str:
    return f"one of {', '.join(names)}"
