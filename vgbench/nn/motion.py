"""Motion codes of continuous-time video GANs: a smooth curve through random control points.

A video's motion is a sequence of noise vectors, one per `distance` frames. A network without
padding turns them into control points, and a time encoder into a code for any time, so that a
video can be rendered at any time and continued for ever.

Source: StyleGAN-V (CVPR 2022), section 3.1; "Towards Smooth Video Composition" (StyleSV, ICLR
2023) for the B-spline.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vgbench.nn.equalized import EqualLinear
from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.motion_options import MotionConfig


class Knots(NamedTuple):
    """The control points around some times.

    Attributes:
        first: Number of the first of them, shape `[b, t]`.
        position: Time since that knot over the distance, in [0, 1), shape `[b, t, 1]`.
    """

    first: Int[Tensor, "b t"]
    position: Float[Tensor, "b t 1"]


class EqualConv1d(nn.Module):
    """1-D convolution without padding, with equalised learning rate, and leaky ReLU (no gain).

    Args:
        c_in: Input channels.
        c_out: Output channels.
        kernel: Kernel size.
        lr_mult: Factor of the learning rate.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, lr_mult: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel) / lr_mult)
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.weight_gain, self.bias_gain = lr_mult / math.sqrt(c_in * kernel), lr_mult

    def forward(self, x: Float[Tensor, "b c l"]) -> Float[Tensor, "b c2 l2"]:
        """Returns the activated map."""
        y = F.conv1d(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, 0.2)


class TimeEncoder(nn.Module):
    """Sine waves whose frequency and phase follow the control points.

    Source: StyleGAN-V, section 3.1 (acyclic positional encoding).

    Args:
        config: Options of the motion encoder.
    """

    freqs: Tensor
    phase_scales: Tensor

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        waves = config.frequencies
        self.register_buffer("freqs", log_spaced_frequencies(config))
        self.register_buffer("phase_scales", self.freqs * config.max_period / (2 * math.pi))
        self.periods_predictor = EqualLinear(config.v_dim, waves, bias=False)
        self.phase_predictor = EqualLinear(config.v_dim, waves, bias=False)
        self.aligners_predictor = EqualLinear(config.v_dim, 2 * waves, bias=False)

    def speeds(self, u: Float[Tensor, "... v"]) -> Float[Tensor, "... f"]:
        """Returns angular frequencies, in radians per frame."""
        speeds: Tensor = self.freqs[0] * (1 + torch.tanh(self.periods_predictor(u)))
        return speeds

    def phases(self, u: Float[Tensor, "... v"]) -> Float[Tensor, "... f"]:
        """Returns phases in radians."""
        phases: Tensor = self.phase_scales[0] * self.phase_predictor(u)
        return phases


def log_spaced_frequencies(config: MotionConfig) -> Float[Tensor, "1 f"]:
    """Returns angular frequencies in ascending order, periods spaced evenly in their logarithm."""
    first, last = math.log2(config.shortest_period), math.log2(config.max_period)
    periods = 2 ** torch.linspace(first, last, config.frequencies)
    return (2 * math.pi / periods).flip(0)[None]


class MotionEncoder(nn.Module):
    """From the noise of a video to its motion code at any time.

    Parameters have the names of the published code. Times are in frames; phases are computed in
    float64, since sines at time 100 000 have no accuracy left in float32. Autocast is not followed.

    Args:
        config: Options.
        c_dim: Numbers of a condition that is appended to every noise vector.
    """

    def __init__(self, config: MotionConfig, c_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        c_in = config.z_dim + c_dim
        if config.trajectory == "lstm":
            self.rnn = nn.LSTM(c_in, config.v_dim, batch_first=True)
        else:
            widths = (c_in, config.z_dim, config.v_dim)
            layers = (EqualConv1d(a, b, config.kernel, 0.01) for a, b in pairwise(widths))
            self.conv = nn.Sequential(*layers)
        if config.fourier:
            self.time_encoder = TimeEncoder(config)
        else:
            self.mapping = MappingNetwork(config.v_dim, 0, config.v_dim, num_layers=2)

    def forward(
        self,
        t: Float[Tensor, "b t"],
        motion_z: Float[Tensor, "b l z"],
        c: Float[Tensor, "b c"] | None = None,
    ) -> Float[Tensor, "b t v"]:
        """Returns the motion codes of each video at its times.

        Args:
            t: Times in frames, at least 0, in any order.
            motion_z: Noise, standard normal, at least `config.noise_length(max(t))` vectors; more
                of it gives the same codes.
            c: Condition, where the encoder has one.
        """
        with torch.autocast(t.device.type, enabled=False):
            return self.codes(t, self.trajectory(motion_z, c))

    def codes(self, t: Float[Tensor, "b t"], u: Float[Tensor, "b k u"]) -> Float[Tensor, "b t v"]:
        """Returns the motion codes at some times of the curve through control points.

        Args:
            t: Times in frames, at least 0, in any order.
            u: Control points of each video; see `trajectory`.
        """
        knots, weights = self._knots(t)
        around = _around(u, knots, len(weights))
        if not self.config.fourier:
            points = _weighted(around, weights)
            mapped: Tensor = self.mapping(points.flatten(0, 1))
            return mapped.view_as(points)
        aligned = [self.time_encoder.aligners_predictor(point) for point in around]
        if self.config.curve in ("linear", "bspline"):
            waves = self._anchored_waves(t, around[0], knots)
        else:
            waves = self._blended_waves(t, u, around, knots)
        return waves + _weighted(aligned, weights)

    def trajectory(
        self, motion_z: Float[Tensor, "b l z"], c: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b k v"]:
        """Returns the control points; point `i` lies at `i * distance` frames."""
        if c is not None:
            condition = c[:, None].expand(-1, motion_z.shape[1], -1)
            motion_z = torch.cat([motion_z, condition], dim=2)
        points: Tensor
        if self.config.trajectory == "lstm":
            points = self.rnn(motion_z)[0]
        else:
            points = self.conv(motion_z.mT).mT
        return points

    def _knots(self, t: Tensor) -> tuple[Knots, list[Tensor]]:
        """Returns the control points around each time and their weights in the curve."""
        relative = t.double() / self.config.distance
        first = relative.floor()
        knots = Knots(first.long(), (relative - first)[..., None])
        a = knots.position
        weights = [1 - a, a] if self.config.curve == "linear" else bspline_weights(a)
        return knots, [weight.to(t.dtype) for weight in weights]

    def _anchored_waves(self, t: Tensor, u: Tensor, knots: Knots) -> Float[Tensor, "b t v"]:
        """What is left of the waves of `u` when they are made to vanish at every control point."""
        speed, phase = self.time_encoder.speeds(u), self.time_encoder.phases(u)
        time = t.double()[..., None]
        left = time - knots.position * self.config.distance
        times = (time, left, left + self.config.distance)
        here, before, after = (_sines(speed * moment + phase) for moment in times)
        waves = here - torch.lerp(before, after, knots.position.to(here.dtype).expand_as(here))
        return waves.to(t.dtype)

    def _blended_waves(
        self, t: Tensor, u: Tensor, around: Sequence[Tensor], knots: Knots
    ) -> Float[Tensor, "b t v"]:
        """Waves whose phase and frequency follow the curve."""
        encoder, weights = self.time_encoder, bspline_weights(knots.position.to(t.dtype))
        phase = _weighted([encoder.phases(point) for point in around], weights)
        if self.config.curve == "bspline-time":
            speed = _weighted([encoder.speeds(point) for point in around], weights)
            angle = speed * t.double()[..., None]
        else:
            angle = self._angle(encoder.speeds(u), knots)
        return _sines(angle + phase).to(t.dtype)

    def _angle(self, speeds: Float[Tensor, "b k f"], knots: Knots) -> Float[Tensor, "b t f"]:
        """Returns the integral of the blended speeds from time 0, in float64."""
        speeds, a = speeds.double(), knots.position
        whole = (speeds[:, :-2] + 4 * speeds[:, 1:-1] + speeds[:, 2:]) / 6
        before = F.pad(whole.cumsum(dim=1), (0, 0, 1, 0))
        parts = [(1 - (1 - a) ** 3) / 6, (3 * a + 3 * a**2 - 2 * a**3) / 6, a**3 / 6]
        since = _weighted(_around(speeds, knots, 3), parts)
        return (_around(before, knots, 1)[0] + since) * self.config.distance


def bspline_weights(a: Float[Tensor, "..."]) -> list[Tensor]:
    """Returns the three weights of the uniform quadratic B-spline at positions `a` in [0, 1]."""
    return [(1 - a) ** 2 / 2, (1 + 2 * a - 2 * a**2) / 2, a**2 / 2]


def _around(points: Float[Tensor, "b k v"], knots: Knots, count: int) -> list[Tensor]:
    """Returns the first, second, ... control point around each time, each `[b, t, v]`."""
    index = knots.first[..., None].expand(-1, -1, points.shape[2])
    return [points.gather(1, index + i) for i in range(count)]


def _weighted(points: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    weighted: Tensor = torch.stack([p * w for p, w in zip(points, weights, strict=True)])
    return weighted.sum(dim=0)


def _sines(angles: Float[Tensor, "b t f"]) -> Float[Tensor, "b t f2"]:
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
