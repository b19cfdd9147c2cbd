"""Convolutions whose input channels are scaled by a style, in the forms of StyleGAN2 and 3.

Scaling the weights per sample needs a grouped convolution with a weight for each sample. Scaling
the activations before and after one shared convolution is the same and never builds them:
`conv(x * s, w) * d` with `d[n, o] = rsqrt(sum_i s[n, i]^2 sum_k w[o, i, k]^2 + eps)`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vgbench.nn.conv_resample import conv2d_resample
from vgbench.nn.upfirdn import Padding

_EPS = 1e-8


class LowRank(NamedTuple):
    """A second weight, a product of two factors at every kernel tap, with its own styles.

    Attributes:
        w1: Factor towards the outputs, shape `[o, r, k, k]`.
        w2: Factor towards the inputs, shape `[r, i, k, k]`.
        styles: Scale of the input channels, shape `[n, i]`.
        gain: Factor of what the second weight adds to the output, a number; None for 1.
    """

    w1: Float[Tensor, "o r k k"]
    w2: Float[Tensor, "r i k k"]
    styles: Float[Tensor, "n i"]
    gain: Float[Tensor, ""] | None = None

    def weight(self) -> Float[Tensor, "o i k k"]:
        """Returns the product of the factors."""
        return torch.einsum("orhw,rihw->oihw", self.w1, self.w2)


def modulated_conv2d(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    styles: Float[Tensor, "n i"],
    f: Float[Tensor, "..."] | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    demodulate: bool = True,
) -> Float[Tensor, "n o h2 w2"]:
    """Returns StyleGAN2's modulated convolution, resampled with the filter `f`.

    Args:
        x: The map.
        weight: Kernel shared by all samples.
        styles: Scale of the input channels of each sample.
        f: Taps of the resampling filter.
        up: Up-sampling factor; the kernel is then convolved, as in StyleGAN2, not correlated.
        down: Down-sampling factor.
        padding: Zeros around the up-sampled map.
        demodulate: Whether outputs are scaled to unit variance for unit normal inputs.

    Source: StyleGAN2 (CVPR 2020), equations 1 and 3.
    """
    y = _scaled(x, styles)
    y = conv2d_resample(y, weight, f, up, down, padding, flip_weight=up == 1)
    return _scaled(y, demodulation(weight, styles)) if demodulate else y


def normalized_modulated_conv2d(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    styles: Float[Tensor, "n i"],
    padding: int = 0,
    demodulate: bool = True,
    input_gain: Float[Tensor, "..."] | None = None,
    low_rank: LowRank | None = None,
) -> Float[Tensor, "n o h2 w2"]:
    """Returns StyleGAN3's modulated convolution: weights and styles are normalised first.

    Args:
        x: The map.
        weight: Kernel shared by all samples.
        styles: Scale of the input channels of each sample.
        padding: Zeros around the map.
        demodulate: Whether outputs are scaled to unit variance for unit normal inputs; without,
            nothing is normalised.
        input_gain: Factor of the input, a scalar, one per channel or one per sample and channel;
            demodulation does not undo it.
        low_rank: A second weight that is normalised and demodulated on its own and added
            (StyleSV).

    Source: StyleGAN3 (NeurIPS 2021), appendix F; StyleSV (ICLR 2023), genforce/StyleSV
    `src/training/networks.py`.
    """
    gain = styles.new_ones(()) if input_gain is None else input_gain
    y = _normalized_term(x, weight, styles, gain, padding, demodulate)
    if low_rank is None:
        return y
    second = _normalized_term(x, low_rank.weight(), low_rank.styles, gain, padding, demodulate)
    return y + (second if low_rank.gain is None else second * low_rank.gain)


def _normalized_term(
    x: Tensor, weight: Tensor, styles: Tensor, gain: Tensor, padding: int, demodulate: bool
) -> Tensor:
    if not demodulate:
        return F.conv2d(_scaled(x, styles * gain), weight, padding=padding)
    weight = weight * (weight.square().mean((1, 2, 3), keepdim=True) + _EPS).rsqrt()
    styles = styles * (styles.square().mean() + _EPS).rsqrt()
    y = F.conv2d(_scaled(x, styles * gain), weight, padding=padding)
    return _scaled(y, demodulation(weight, styles))


def demodulation(
    weight: Float[Tensor, "o i k k"], styles: Float[Tensor, "n i"]
) -> Float[Tensor, "n o"]:
    """Returns the factors that give each output of each sample unit variance.

    Source: StyleGAN2 (CVPR 2020), equation 3.
    """
    with torch.autocast(styles.device.type, enabled=False):
        styles = styles.to(torch.promote_types(styles.dtype, torch.float32))
        return (styles.square() @ weight.square().sum((2, 3)).t() + _EPS).rsqrt()


def _scaled(x: Tensor, factors: Float[Tensor, "n c"]) -> Tensor:
    return x * factors[:, :, None, None].to(x.dtype)
