"""Blocks of StyleGAN2's synthesis network.

Source: StyleGAN2 (CVPR 2020), section 2 and figure 2; state-dict names are those of
NVlabs/stylegan2-ada-pytorch `training/networks.py`.
"""

import math
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.bias_act import bias_act
from vgbench.nn.equalized import EqualLinear, blur_filter
from vgbench.nn.modulated_conv import modulated_conv2d
from vgbench.nn.noise import GeneratorLike, normal
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.nn.upfirdn import upsample2d

# Noise of each pixel: the same in every image, none, or drawn from generators.
PixelNoise = Literal["const", "none"] | GeneratorLike


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        w_dim: Numbers per style.
        resolution: Width and height of the output.
        up: Up-sampling factor.
        use_noise: Whether noise is added, by a learned strength.
        clamp: Largest magnitude of the output; None for no limit.
    """

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        c_in: int,
        c_out: int,
        w_dim: int,
        resolution: int,
        up: int = 1,
        use_noise: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolution, self.up, self.use_noise, self.clamp = resolution, up, use_noise, clamp
        self.affine = EqualLinear(w_dim, c_in, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(c_out, c_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.register_buffer("resample_filter", blur_filter(), persistent=False)
        if use_noise:
            self.noise_strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(
        self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"], noise: PixelNoise = "const"
    ) -> Float[Tensor, "n o h2 w2"]:
        """Returns the activated map of each style."""
        f = self.resample_filter
        y = modulated_conv2d(x, self.weight, self.affine(w), f, up=self.up, padding=1)
        if self.use_noise and noise != "none":
            y = y + self._noise(len(y), noise).to(y.dtype)
        return bias_act(y, self.bias, "lrelu", clamp=self.clamp)

    def _noise(self, n: int, noise: PixelNoise) -> Tensor:
        if isinstance(noise, str):
            return self.noise_const * self.noise_strength
        drawn = normal(n, (1, *self.noise_const.shape), noise, self.noise_const.device)
        return drawn * self.noise_strength


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colours, without demodulation.

    Args:
        c_in: Input channels.
        img_channels: Colour channels.
        w_dim: Numbers per style.
        clamp: Largest magnitude of the output; None for no limit.
    """

    def __init__(
        self, c_in: int, img_channels: int, w_dim: int, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = EqualLinear(w_dim, c_in, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, c_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def forward(
        self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n c h w"]:
        """Returns the colours that this map adds to the image."""
        styles = self.affine(w) / math.sqrt(self.weight.shape[1])
        y = modulated_conv2d(x, self.weight, styles, demodulate=False)
        return bias_act(y, self.bias, clamp=self.clamp)


class SynthesisBlock(nn.Module):
    """The convolutions of one resolution and its contribution to the image.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        w_dim: Numbers per style.
        resolution: Width and height of the output.
        img_channels: Colour channels.
        up: 2 for two convolutions, the first of which doubles the size; 1 for one convolution.
        use_noise: Whether noise is added after each convolution.
        clamp: Largest magnitude of a convolution's output; None for no limit.
    """

    resample_filter: Tensor

    def __init__(
        self,
        c_in: int,
        c_out: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        up: int = 2,
        use_noise: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        size, rest = (w_dim, resolution), (use_noise, clamp)
        self.conv0 = StyledConv(c_in, c_out, *size, up, *rest) if up > 1 else None
        self.conv1 = StyledConv(c_out if up > 1 else c_in, c_out, *size, 1, *rest)
        self.torgb = ToRGB(c_out, img_channels, w_dim, clamp)
        self.register_buffer("resample_filter", blur_filter(), persistent=False)
        self.num_convs = 1 if self.conv0 is None else 2

    def forward(
        self,
        x: Float[Tensor, "n i h w"],
        img: Float[Tensor, "n c h w"] | None,
        ws: Float[Tensor, "n l d"],
        noise: PixelNoise = "const",
    ) -> tuple[Tensor, Tensor]:
        """Returns the map and the image so far.

        Args:
            x: Map of the resolution below.
            img: Image so far, of the resolution below; None at the start.
            ws: Styles of each convolution and of the colours, in this order.
            noise: Noise of each pixel.
        """
        if self.conv0 is not None:
            x = self.conv0(x, ws[:, 0], noise)
        x = self.conv1(x, ws[:, self.num_convs - 1], noise)
        rgb = self.torgb(x, ws[:, self.num_convs])
        return x, rgb if img is None else upsample2d(img, self.resample_filter) + rgb


class SynthesisBlocks(nn.Module):
    """Blocks from 4x4 up, each of which adds to the image.

    Args:
        pyramid: Resolution and widths.
        first: The block of 4x4 maps.
        w_dim: Numbers per style.
        use_noise: Whether noise is added after each convolution.
    """

    def __init__(
        self, pyramid: Pyramid, first: SynthesisBlock, w_dim: int, use_noise: bool
    ) -> None:
        super().__init__()
        self.resolutions = pyramid.resolutions
        self.add_module("b4", first)
        for low, high in pairwise(self.resolutions):
            widths = (pyramid.channels(low), pyramid.channels(high))
            size, rest = (high, pyramid.img_channels), (use_noise, pyramid.conv_clamp)
            self.add_module(f"b{high}", SynthesisBlock(*widths, w_dim, *size, 2, *rest))

    def render(
        self,
        x: Float[Tensor, "n c 4 4"],
        ws: Float[Tensor, "n l d"],
        noise: PixelNoise = "const",
    ) -> Float[Tensor, "n k h w"]:
        """Returns images, roughly in [-1, 1].

        Args:
            x: What the first block is given.
            ws: A style for each convolution and one for the last colours.
            noise: Noise of each pixel: `const`, `none`, or the generators to draw it from.
        """
        img: Tensor | None = None
        first = 0
        for resolution in self.resolutions:
            block = self.get_submodule(f"b{resolution}")
            assert isinstance(block, SynthesisBlock)
            # The colours share their style with the first convolution of the next block.
            x, img = block(x, img, ws[:, first : first + block.num_convs + 1], noise)
            first += block.num_convs
        assert img is not None
        return img
