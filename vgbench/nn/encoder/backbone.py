"""The IR-SE backbone: a residual network with squeeze-and-excitation, known from ArcFace.

Source: "ArcFace" (CVPR 2019), section 3.1, and "Squeeze-and-Excitation Networks" (CVPR 2018);
state-dict names are those of eladrich/pixel2style2pixel `models/encoders/helpers.py`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.encoder.batch_norm import GlobalBatchNorm
from vgbench.nn.encoder.options import BackboneSize


class SqueezeExcite(nn.Module):
    """Scales each channel by a factor in (0, 1) that depends on the means of all.

    Args:
        channels: Channels of the map.
        reduction: By how much the layer between is narrower.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Returns the scaled map."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))


class ResidualUnit(nn.Module):
    """Two convolutions with squeeze-and-excitation beside a shortcut.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        stride: Step of the second convolution and of the shortcut.
        reduction: See `SqueezeExcite`.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if c_in != c_out:
            shrink = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(shrink, GlobalBatchNorm(c_out))
        self.res_layer = nn.Sequential(
            GlobalBatchNorm(c_in),
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
            nn.PReLU(c_out),
            nn.Conv2d(c_out, c_out, 3, stride, padding=1, bias=False),
            GlobalBatchNorm(c_out),
            SqueezeExcite(c_out, reduction),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Returns the map after both paths."""
        straight: Tensor = self.shortcut_layer(x)
        residual: Tensor = self.res_layer(x)
        return straight + residual


class Backbone(nn.Module):
    """The convolution that images enter by, and four stages of residual units.

    Convolutions start with normal weights of He et al.; weights of face recognition may replace
    them (`input_layer.*`, `body.*`).

    Args:
        size: Widths and depths.
        img_channels: Colour channels.
    """

    def __init__(self, size: BackboneSize, img_channels: int = 3) -> None:
        super().__init__()
        self.size = size
        width = size.base_width
        stem = nn.Conv2d(img_channels, width, 3, padding=1, bias=False)
        self.input_layer = nn.Sequential(stem, GlobalBatchNorm(width), nn.PReLU(width))
        units = []
        for depth, c_out in zip(size.units, size.widths, strict=True):
            for i in range(depth):
                units.append(ResidualUnit(width, c_out, 1 if i else 2, size.reduction))
                width = c_out
        self.body = nn.Sequential(*units)
        self.apply(init_convolution)

    def stage_maps(self, images: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """Returns the last map of each stage, 2, 4, 8 and 16 times smaller than the images."""
        x, maps = self.input_layer(images), []
        for i, unit in enumerate(self.body):
            x = unit(x)
            if i in self.size.stage_ends:
                maps.append(x)
        return maps


def init_convolution(module: nn.Module) -> None:
    """Gives a convolution normal weights that keep the variance through ReLUs, and no bias.

    Source: "Delving Deep into Rectifiers" (ICCV 2015), equation 10.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
