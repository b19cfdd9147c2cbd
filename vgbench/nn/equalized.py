"""Layers with equalised learning rate: unit normal weights, scaled when they are used.

Source: "Progressive Growing of GANs" (ICLR 2018), section 4.1. Parameters have the names and the
scale of NVlabs/stylegan2-ada-pytorch `training/networks.py`.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.bias_act import ACTIVATIONS, bias_act
from vgbench.nn.conv_resample import conv2d_resample
from vgbench.nn.upfirdn import setup_filter


def blur_filter() -> Float[Tensor, " 4"]:
    """Returns the separable filter [1, 3, 3, 1] / 8 of StyleGAN2's up- and down-sampling."""
    return setup_filter([1.0, 3.0, 3.0, 1.0], separable=True)


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate and an activation.

    Args:
        in_features: Numbers per input.
        out_features: Numbers per output.
        bias: Whether there is a bias.
        act: Activation, with its gain.
        lr_mult: Factor of the learning rate of weights and bias.
        weight_init: Standard deviation of the effective initial weights, times sqrt(in_features).
        bias_init: Initial bias, one for all outputs or one each.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        act: str = "linear",
        lr_mult: float = 1.0,
        weight_init: float = 1.0,
        bias_init: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        weight = torch.randn(out_features, in_features) * (weight_init / lr_mult)
        self.weight = nn.Parameter(weight)
        initial = torch.as_tensor(bias_init, dtype=weight.dtype).expand(out_features)
        self.bias = nn.Parameter(initial / lr_mult) if bias else None
        self.act, self.lr_mult = act, lr_mult

    def forward(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """Returns the activated outputs."""
        weight = self.weight * (self.lr_mult / math.sqrt(self.weight.shape[1]))
        bias = None if self.bias is None else self.bias * self.lr_mult
        return bias_act(F.linear(x, weight, bias), act=self.act)


class EqualConv2d(nn.Module):
    """2-D convolution with equalised learning rate, StyleGAN2's resampling and an activation.

    The map keeps its size but for the resampling.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        kernel: Kernel size, odd.
        bias: Whether there is a bias.
        act: Activation, with its gain.
        up: Up-sampling factor.
        down: Down-sampling factor.
        clamp: Largest magnitude of the outputs; None for no limit.
    """

    resample_filter: Tensor

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        bias: bool = True,
        act: str = "linear",
        up: int = 1,
        down: int = 1,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None
        self.register_buffer("resample_filter", blur_filter(), persistent=False)
        self.act, self.up, self.down, self.clamp = act, up, down, clamp

    def forward(self, x: Float[Tensor, "n i h w"], gain: float = 1.0) -> Float[Tensor, "n o h2 w2"]:
        """Returns the activated map times `gain`, which also scales the clamp."""
        kernel = self.weight.shape[2]
        weight = self.weight / math.sqrt(self.weight[0].numel())
        f, padding = self.resample_filter, kernel // 2
        y = conv2d_resample(x, weight, f, self.up, self.down, padding, flip_weight=self.up == 1)
        clamp = None if self.clamp is None else self.clamp * gain
        return bias_act(y, self.bias, self.act, ACTIVATIONS[self.act].gain * gain, clamp)
