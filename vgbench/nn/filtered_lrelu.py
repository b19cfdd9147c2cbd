"""Alias-free activation: up-sampled, leaky ReLU, down-sampled."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vgbench.nn.bias_act import clamped
from vgbench.nn.upfirdn import Padding, Route, upfirdn2d


class Resampling(NamedTuple):
    """How a map is brought to the rate of the activation and away from it.

    Attributes:
        up_filter: Taps for up-sampling; None for none.
        down_filter: Taps for down-sampling; None for none.
        up: Up-sampling factor.
        down: Down-sampling factor.
        padding: Zeros around the up-sampled map (see `upfirdn2d`).
        flip_filter: Whether filters are correlated instead of convolved.
    """

    up_filter: Tensor | None = None
    down_filter: Tensor | None = None
    up: int = 1
    down: int = 1
    padding: Padding = 0
    flip_filter: bool = False


def filtered_lrelu(
    x: Float[Tensor, "n c h w"],
    b: Float[Tensor, " c"] | None,
    resampling: Resampling,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    route: Route | None = None,
) -> Float[Tensor, "n c h2 w2"]:
    """Returns `down(clamp(gain * lrelu(up(x + b))))`.

    Leaky ReLU commutes with positive factors, so the gain rides on the up-sampling filter.

    Args:
        x: The map.
        b: One value per channel.
        resampling: Filters, factors and padding.
        gain: Positive factor after the activation.
        slope: Its slope below zero; 1 for none.
        clamp: Largest magnitude after the gain; None for no limit.
        route: See `upfirdn2d`.

    Source: StyleGAN3 (NeurIPS 2021), section 3.2; NVlabs/stylegan3
    `torch_utils/ops/filtered_lrelu.py`.
    """
    up_filter, down_filter, up, down, padding, flip = resampling
    if b is not None:
        x = x + b.to(x.dtype)[:, None, None]
    within = clamp is None or _stays_within(x, clamp, resampling, gain)
    x = upfirdn2d(x, up_filter, up, 1, padding, flip, up**2 * gain, route)
    if slope != 1:
        x = F.leaky_relu(x, slope)
    if clamp is not None and not within:
        x = clamped(x, clamp)
    return upfirdn2d(x, down_filter, 1, down, 0, flip, route=route)


def _stays_within(x: Tensor, clamp: float, resampling: Resampling, gain: float) -> bool:
    """Returns whether the activation of `x` provably stays below `clamp`.

    Clamping the large map takes several times as long as bounding the small one. Not asked of a
    GPU, which would wait for the answer.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not x.numel():
        return False
    low, high = torch.aminmax(x.detach())
    largest = max(-float(low), float(high)) * resampling.up**2 * gain
    limit = clamp * (1 - 1e-3)  # the convolutions round
    return largest * _largest_response(resampling.up_filter, resampling.up) < limit


def _largest_response(f: Tensor | None, up: int) -> float:
    """Returns the largest magnitude that up-sampling makes of values in [-1, 1]."""
    if f is None:
        return 1.0
    f, phases = f.abs(), range(up)  # every up-th tap meets values, the others zeros
    if f.ndim == 1:
        return max(float(f[i::up].sum()) for i in phases) ** 2
    return max(float(f[i::up, j::up].sum()) for i in phases for j in phases)
