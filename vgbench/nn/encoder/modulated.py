"""An encoder whose maps a style changes: the same image, inverted to another frame at each time.

Source: StyleInV (ICCV 2023), section 3; johannwyh/StyleInV `training/styleinv/`, whose
state-dict names these are.
"""

import math
from collections.abc import Mapping

import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import CheckpointError, UsageError
from vgbench.nn.encoder.backbone import init_convolution
from vgbench.nn.encoder.inversion import WEncoder
from vgbench.nn.encoder.options import STAGES, BackboneSize, Modulation
from vgbench.nn.equalized import EqualConv2d, EqualLinear
from vgbench.nn.stylegan2.synthesis import StyledConv


class AdaIN(nn.Module):
    """Instance normalisation whose scale and offset come from a style.

    Source: "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization" (ICCV
    2017), equation 8, with scales around one.

    Args:
        channels: Channels of the map.
        style_dim: Numbers per style.
    """

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.fc = EqualLinear(style_dim, 2 * channels)

    def forward(
        self, x: Float[Tensor, "n c h w"], style: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n c h w"]:
        """Returns the map with the mean and deviation that the style asks for."""
        scale, offset = self.fc(style)[:, :, None, None].chunk(2, dim=1)
        y: Tensor = (1 + scale) * F.instance_norm(x) + offset
        return y


class AdaINBlock(nn.Module):
    """Two convolutions after adaptive instance normalisation, beside an identity.

    Args:
        channels: Channels of the map.
        style_dim: Numbers per style.
        normalize: Whether the sum is divided by the root of two.
    """

    def __init__(self, channels: int, style_dim: int, normalize: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = AdaIN(channels, style_dim)
        self.norm2 = AdaIN(channels, style_dim)
        self.normalize = normalize
        self.apply(init_convolution)

    def forward(
        self, x: Float[Tensor, "n c h w"], style: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n c h w"]:
        """Returns the changed map."""
        y = self.conv1(F.leaky_relu(self.norm1(x, style), 0.2))
        residual: Tensor = self.conv2(F.leaky_relu(self.norm2(y, style), 0.2))
        y = x + residual
        return y * math.sqrt(0.5) if self.normalize else y


class ModulatedBlock(nn.Module):
    """Two modulated convolutions of StyleGAN2 beside a linear path.

    Args:
        channels: Channels of the map.
        style_dim: Numbers per style.
    """

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        # Without noise a layer works at any resolution.
        self.conv0 = StyledConv(channels, channels, style_dim, resolution=0, use_noise=False)
        self.conv1 = StyledConv(channels, channels, style_dim, resolution=0, use_noise=False)
        self.skip = EqualConv2d(channels, channels, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "n c h w"], style: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n c h w"]:
        """Returns the changed map."""
        straight: Tensor = self.skip(x)
        residual: Tensor = self.conv1(self.conv0(x, style), style)
        return (straight + residual) * math.sqrt(0.5)


class ModulatedEncoder(WEncoder):
    """A W encoder with further blocks, by which temporal styles change what it says of an image.

    Called without styles it is the plain encoder, whose weights it may start from.

    Args:
        size: Widths and depths of the backbone.
        modulation: How and where styles change the maps.
        style_dim: Numbers per temporal style.
        w_dim: Numbers per style of the generator.
        img_channels: Colour channels.
    """

    def __init__(
        self,
        size: BackboneSize,
        modulation: Modulation,
        style_dim: int = 512,
        w_dim: int = 512,
        img_channels: int = 3,
    ) -> None:
        super().__init__(size, w_dim, img_channels)
        self.places = modulation.places(size)
        widths = [c for c, units in zip(size.widths, size.units, strict=True) for _ in range(units)]
        self.adains = nn.ModuleList(
            AdaINBlock(widths[place], style_dim, modulation.normalize)
            if modulation.kind == "adain"
            else ModulatedBlock(widths[place], style_dim)
            for place in self.places
        )

    def modulated(
        self, images: Float[Tensor, "b c h w"], styles: Float[Tensor, "b t s"]
    ) -> Float[Tensor, "b t d"]:
        """Returns the style of the generator for each image under each of its temporal styles.

        Args:
            images: One image per video.
            styles: Temporal styles.

        Raises:
            UsageError: If the images are too small to have a pattern left in the last map.
        """
        return self.under(self.trunk(images), styles)

    def trunk(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Returns the map before the first block, which is the same for all temporal styles.

        Raises:
            UsageError: If the images are too small to have a pattern left in the last map.
        """
        _check(images)
        x: Tensor = self.input_layer(images)
        for i in range(self.places[0] + 1):
            x = self.body[i](x)
        return x

    def under(
        self, trunk: Float[Tensor, "b c h w"], styles: Float[Tensor, "b t s"]
    ) -> Float[Tensor, "b t d"]:
        """Returns what `modulated` does, of maps that are known already.

        Args:
            trunk: `trunk` of the images.
            styles: Temporal styles, any number at a time.
        """
        frames, following = styles.shape[1], self.places[0] + 1
        style = rearrange(styles, "b t s -> (b t) s")
        blocks = dict(zip(self.places, self.adains, strict=True))
        x = self.adains[0](repeat(trunk, "b c h w -> (b t) c h w", t=frames), style)
        for i in range(following, len(self.body)):
            x = self.body[i](x)
            x = blocks[i](x, style) if i in blocks else x
        return rearrange(self.read(x), "(b t) d -> b t d", t=frames)

    def start_from(self, state: Mapping[str, Tensor]) -> None:
        """Takes over the weights of a plain encoder of the same size.

        Args:
            state: State dict of a `WEncoder`.

        Raises:
            CheckpointError: If they are not those of such an encoder.
        """
        own = {name: value for name, value in self.state_dict().items() if name in state}
        rest = [name for name in self.state_dict() if name not in own]
        strange = [name for name in state if name not in own]
        misfits = [name for name, value in own.items() if value.shape != state[name].shape]
        lacking = [name for name in rest if not name.startswith("adains.")]
        if strange or misfits or lacking:
            raise CheckpointError(
                "these are not the weights of a W encoder of this size: "
                f"{len(lacking)} entries missing, {len(strange)} unknown, {len(misfits)} of "
                f"another shape, e.g. {(lacking + strange + misfits)[0]}; give those of an "
                "inversion stage with the same base_width, units and w_dim"
            )
        self.load_state_dict(dict(state), strict=False)


def _check(images: Tensor) -> None:
    smallest = 2**STAGES + 1
    if min(images.shape[2:]) < smallest:
        raise UsageError(
            f"images of {images.shape[3]}x{images.shape[2]} pixels: a modulated encoder needs "
            f"{smallest}x{smallest} or more, as its last map must have more than one pixel"
        )
