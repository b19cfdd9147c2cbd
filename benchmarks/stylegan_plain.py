"""The StyleGAN layers as they are defined: zeros inserted, a weight for every sample."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from vgbench.nn.filtered_lrelu import Resampling
from vgbench.nn.upfirdn import setup_filter


def plain_upfirdn(
    x: Tensor,
    f: Tensor,
    up: int = 1,
    down: int = 1,
    pads: tuple[int, ...] = (0, 0, 0, 0),
    gain: float = 1.0,
) -> Tensor:
    """Zeros inserted at the full rate, two filters of one axis each, every `down`-th kept."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1))
    x = F.pad(x.reshape(n, c, h * up, w * up), pads)
    f = (f * gain ** (f.ndim / 2)).flip(0).expand(c, 1, 1, -1)
    x = F.conv2d(F.conv2d(x, f, groups=c), f.mT, groups=c)
    return x[:, :, ::down, ::down]


def plain_filtered_lrelu(
    x: Tensor,
    b: Tensor,
    resampling: Resampling,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = 256.0,
) -> Tensor:
    up_filter, down_filter, up, down, pads, _ = resampling
    x = x + b[:, None, None]
    if up_filter is not None:
        x = plain_upfirdn(x, up_filter, up, 1, pads, up**2)
    elif pads not in (0, (0, 0, 0, 0)):
        x = F.pad(x, pads)
    x = F.leaky_relu(x, slope) * gain
    x = x if clamp is None else x.clamp(-clamp, clamp)
    return x if down_filter is None else plain_upfirdn(x, down_filter, 1, down)


def plain_modulated(
    x: Tensor, weight: Tensor, styles: Tensor, padding: int, normalize: bool, up: int = 1
) -> Tensor:
    """A weight for every sample in one grouped convolution."""
    if normalize:
        weight = weight * weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
        styles = styles * styles.square().mean().rsqrt()
    weights = weight * styles[:, None, :, None, None]
    weights = weights * (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if up == 1:
        return grouped(x, weights, padding)
    n, c, h, w = x.shape
    weights = weights.transpose(1, 2).flatten(0, 1)
    y = F.conv_transpose2d(x.reshape(1, n * c, h, w), weights, stride=2, groups=n)
    y = y.view(n, -1, *y.shape[2:])
    f = setup_filter([1.0, 3.0, 3.0, 1.0], separable=True).to(y)
    return plain_upfirdn(y, f, 1, 1, (1, 1, 1, 1), 4.0)


def grouped(x: Tensor, weights: Tensor, padding: int) -> Tensor:
    """The convolution of every sample with a weight of its own."""
    n, c, h, w = x.shape
    y = F.conv2d(x.reshape(1, n * c, h, w), weights.flatten(0, 1), padding=padding, groups=n)
    return y.view(n, -1, *y.shape[2:])


def plain_normalized(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    padding: int = 0,
    demodulate: bool = True,
    input_gain: Tensor | None = None,
    low_rank: None = None,
) -> Tensor:
    """StyleGAN3's modulated convolution without a second weight."""
    assert low_rank is None
    if input_gain is not None:
        x = x * input_gain
    if demodulate:
        return plain_modulated(x, weight, styles, padding, normalize=True)
    return grouped(x, weight * styles[:, None, :, None, None], padding)


def plain_conv_resample(
    x: Tensor,
    weight: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    groups: int = 1,
    flip_weight: bool = True,
) -> Tensor:
    """The convolutions of a discriminator: filtered at the full rate, then strided."""
    assert up == groups == 1
    assert flip_weight
    if down == 1:
        return F.conv2d(x, weight, padding=padding)
    assert f is not None
    low, high = padding + (f.shape[-1] - 1) // 2, padding + (f.shape[-1] - 2) // 2
    taps = f if f.ndim == 1 else f.sum(0)
    x = plain_upfirdn(x, taps, pads=(low, high, low, high))
    return F.conv2d(x, weight, stride=down)


def plain_down_conv(x: Tensor, weight: Tensor, f: Tensor) -> Tensor:
    return F.conv2d(plain_upfirdn(x, f, pads=(2, 2, 2, 2)), weight, stride=2)


@contextmanager
def plain_layers() -> Iterator[None]:
    """Inside, networks of vgbench compute with the plain layers."""
    synthesis, equalized = "vgbench.nn.stylegan3.synthesis", "vgbench.nn.equalized"
    with ExitStack() as stack:
        for name, layer in [
            (f"{synthesis}.normalized_modulated_conv2d", plain_normalized),
            (f"{synthesis}.filtered_lrelu", plain_filtered_lrelu),
            (f"{equalized}.conv2d_resample", plain_conv_resample),
        ]:
            stack.enter_context(mock.patch(name, layer))
        yield


def relative(a: Tensor, b: Tensor) -> float:
    """The norm of the difference over that of `b`."""
    return float((a - b).norm() / b.norm().clamp(min=torch.finfo(b.dtype).tiny))
