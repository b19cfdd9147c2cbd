"""Options of a motion encoder; importing this module does not import torch."""

import math
from dataclasses import dataclass
from typing import Literal

Curve = Literal["linear", "bspline", "bspline-time", "smooth"]


@dataclass(frozen=True)
class MotionConfig:
    """Options of a motion encoder.

    Attributes:
        z_dim: Numbers per noise vector.
        v_dim: Numbers per control point.
        distance: Frames between control points: how slow the motion is.
        frequencies: Sine waves of the time encoder; the code has twice as many numbers.
        min_period: Shortest period of a wave in frames, before it is modulated.
        max_period: Longest.
        kernel: Noise vectors that a control point depends on, in each of two convolutions.
        trajectory: `conv`, or `lstm` as in MoCoGAN.
        curve: `linear`: control points interpolated linearly, as in StyleGAN-V, with a kink at
            each. `bspline`: quadratic B-spline, but frequencies that switch at each control point
            (StyleSV as released). `bspline-time`: frequencies blended as well (its `bs_emb`),
            which speeds up with time. `smooth`: blended frequencies integrated over time, so
            that neither happens.
        fourier: Whether there is a time encoder; without one the code is a small network's
            output at the interpolated control point, and `v_dim` must equal `z_dim`.
    """

    z_dim: int = 512
    v_dim: int = 512
    distance: int = 16
    frequencies: int = 256
    min_period: int = 16
    max_period: int = 1024
    kernel: int = 11
    trajectory: Literal["conv", "lstm"] = "conv"
    curve: Curve = "smooth"
    fourier: bool = True

    @property
    def dim(self) -> int:
        """Numbers of a motion code."""
        return 2 * self.frequencies if self.fourier else self.v_dim

    @property
    def control_points(self) -> int:
        """Neighbouring control points that a code depends on."""
        return 2 if self.curve == "linear" else 3

    def noise_length(self, last: int | float) -> int:
        """Returns the noise vectors that a video up to time `last`, in frames, needs."""
        beyond = 2 if self.curve == "linear" else 4
        padding = 2 * (self.kernel - 1) if self.trajectory == "conv" else 0
        return math.ceil(last / self.distance) + beyond + padding
