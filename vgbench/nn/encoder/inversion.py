"""Encoders from an image to the style that generates it: one (W), or one per layer (W+).

Source: "Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation" (pSp, CVPR 2021),
section 3; state-dict names are those of eladrich/pixel2style2pixel
`models/encoders/psp_encoders.py`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.encoder.backbone import Backbone, init_convolution
from vgbench.nn.encoder.options import BackboneSize
from vgbench.nn.equalized import EqualLinear

# Styles that are read from the last map and, after these, from the one before it; the others are
# read from the second stage's, whatever their number.
_COARSE, _MIDDLE = 3, 4


class WEncoder(Backbone):
    """One style per image, read from the mean of the last map.

    Args:
        size: Widths and depths of the backbone.
        w_dim: Numbers per style.
        img_channels: Colour channels.
        resolution: Width and height to which images are resized first; 0 for no resizing.
    """

    def __init__(
        self, size: BackboneSize, w_dim: int = 512, img_channels: int = 3, resolution: int = 0
    ) -> None:
        super().__init__(size, img_channels)
        self.resolution = resolution
        self.linear = EqualLinear(size.widths[-1], w_dim)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Returns what is to be added to the generator's mean style."""
        return self.read(self.body(self.input_layer(_resized(images, self.resolution))))

    def read(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Returns the styles that last maps stand for."""
        styles: Tensor = self.linear(maps.mean(dim=(2, 3)))
        return styles


class StyleHead(nn.Module):
    """From a square map to one style, by convolutions that halve it until one pixel is left.

    Args:
        channels: Channels of the map.
        resolution: Its width and height, a power of two.
        w_dim: Numbers per style.
    """

    def __init__(self, channels: int, resolution: int, w_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(max(resolution.bit_length() - 1, 1)):
            layers += [nn.Conv2d(channels, channels, 3, 2, padding=1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(channels, w_dim)

    def forward(self, x: Float[Tensor, "n c r r"]) -> Float[Tensor, "n d"]:
        """Returns the style."""
        style: Tensor = self.linear(self.convs(x).flatten(1))
        return style


class WPlusEncoder(Backbone):
    """One style for each layer of a generator, read from a feature pyramid.

    Args:
        size: Widths and depths of the backbone.
        resolution: Width and height of the images that it reads, a power of two, at least 16;
            others are resized first.
        num_ws: Layers that need a style.
        w_dim: Numbers per style.
        img_channels: Colour channels.
    """

    def __init__(
        self,
        size: BackboneSize,
        resolution: int,
        num_ws: int,
        w_dim: int = 512,
        img_channels: int = 3,
    ) -> None:
        super().__init__(size, img_channels)
        self.resolution = resolution
        _, fine, middle, coarse = size.widths
        strides = [16] * _COARSE + [8] * _MIDDLE + [4] * num_ws
        heads = [StyleHead(coarse, resolution // stride, w_dim) for stride in strides[:num_ws]]
        self.styles = nn.ModuleList(heads)
        self.latlayer1 = nn.Conv2d(middle, coarse, 1)
        self.latlayer2 = nn.Conv2d(fine, coarse, 1)
        for part in (self.styles, self.latlayer1, self.latlayer2):
            part.apply(init_convolution)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n l d"]:
        """Returns what is to be added to the generator's mean style, layer by layer."""
        _, fine, middle, coarse = self.stage_maps(_resized(images, self.resolution))
        middle = _add_upsampled(coarse, self.latlayer1(middle))
        fine = _add_upsampled(middle, self.latlayer2(fine))
        maps = [coarse] * _COARSE + [middle] * _MIDDLE + [fine] * len(self.styles)
        return torch.stack([head(x) for head, x in zip(self.styles, maps, strict=False)], dim=1)


def _resized(images: Tensor, side: int) -> Tensor:
    """Images of another size: means of pixels where they become smaller, between them if larger."""
    if side in (0, images.shape[2]):
        return images
    if side < images.shape[2]:
        return F.adaptive_avg_pool2d(images, side)
    return F.interpolate(images, size=side, mode="bilinear", align_corners=False)


def _add_upsampled(small: Tensor, large: Tensor) -> Tensor:
    size = large.shape[2:]
    return large + F.interpolate(small, size=size, mode="bilinear", align_corners=True)
