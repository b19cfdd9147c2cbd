"""Blocks of StyleGAN2's residual discriminator.

Source: StyleGAN2 (CVPR 2020), section 4; state-dict names are those of
NVlabs/stylegan2-ada-pytorch `training/networks.py`.
"""

import math

from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.equalized import EqualConv2d, EqualLinear
from vgbench.nn.minibatch_std import minibatch_std
from vgbench.nn.temporal_shift import temporal_shift


class ResidualBlock(nn.Module):
    """Two convolutions beside a linear path, which together halve the map.

    Args:
        c_in: Input channels, or colour channels if `from_rgb`.
        c_mid: Channels between the convolutions.
        c_out: Output channels.
        clamp: Largest magnitude of a convolution's output; None for no limit.
        from_rgb: Whether the input is an image.
    """

    def __init__(
        self, c_in: int, c_mid: int, c_out: int, clamp: float | None, from_rgb: bool = False
    ) -> None:
        super().__init__()
        # In the order in which layers are frozen.
        self.fromrgb = EqualConv2d(c_in, c_mid, 1, act="lrelu", clamp=clamp) if from_rgb else None
        c_in = c_mid if from_rgb else c_in
        self.conv0 = EqualConv2d(c_in, c_mid, 3, act="lrelu", clamp=clamp)
        self.conv1 = EqualConv2d(c_mid, c_out, 3, act="lrelu", down=2, clamp=clamp)
        self.skip = EqualConv2d(c_in, c_out, 1, bias=False, down=2)
        self.shift_frames = 0

    @property
    def layers(self) -> list[nn.Module]:
        """The convolutions from input to output, as counted for freezing."""
        layers = (self.fromrgb, self.conv0, self.conv1, self.skip)
        return [layer for layer in layers if layer is not None]

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Returns the halved map.

        With `shift_frames` the residual path sees frames that exchanged channels with their
        neighbours among as many.
        """
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        straight: Tensor = self.skip(x, gain=math.sqrt(0.5))
        if self.shift_frames:
            x = temporal_shift(x, self.shift_frames)
        residual: Tensor = self.conv1(self.conv0(x), gain=math.sqrt(0.5))
        return straight + residual


class Epilogue(nn.Module):
    """From a 4x4 map to a feature vector, or a logit if that is one number wide.

    Args:
        channels: Channels of the map.
        out_features: Numbers of the result.
        mbstd_group_size: Samples per group of the minibatch standard deviation.
        clamp: Largest magnitude of the convolution's output; None for no limit.
    """

    def __init__(
        self, channels: int, out_features: int, mbstd_group_size: int, clamp: float | None
    ) -> None:
        super().__init__()
        self.mbstd_group_size = mbstd_group_size
        self.conv = EqualConv2d(channels + 1, channels, 3, act="lrelu", clamp=clamp)
        self.fc = EqualLinear(channels * 4 * 4, channels, act="lrelu")
        self.out = EqualLinear(channels, out_features)

    def forward(self, x: Float[Tensor, "n c 4 4"]) -> Float[Tensor, "n o"]:
        """Returns the features of each sample."""
        x = self.conv(minibatch_std(x, self.mbstd_group_size))
        features: Tensor = self.out(self.fc(x.flatten(1)))
        return features


def project(
    features: Float[Tensor, "n o"], condition: Float[Tensor, "n o"] | None
) -> Float[Tensor, " n"]:
    """Returns logits: the product of features and condition, or the only feature without one.

    Source: "cGANs with Projection Discriminator" (ICLR 2018), scaled as in StyleGAN2-ADA.
    """
    if condition is None:
        return features.squeeze(1)
    return (features * condition).sum(dim=1) / math.sqrt(features.shape[1])
