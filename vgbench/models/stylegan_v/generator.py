"""The generator of StyleGAN-V: StyleGAN2 with motion in its constant or in its styles.

Source: StyleGAN-V (CVPR 2022), section 3.1; state-dict names are those of
universome/stylegan-v `src/training/networks.py`.
"""

from collections import OrderedDict
from typing import Literal

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.nn.continuous_generator import ContinuousGenerator
from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.motion import MotionEncoder
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.nn.stylegan2.synthesis import SynthesisBlock, SynthesisBlocks

# `concat_const`: motion codes are further channels of the constant that images start from;
# `concat_w`: they are appended to every style; `sum_w`: they are added to every style.
Conditioning = Literal["concat_const", "concat_w", "sum_w"]

# Share of the old average in each update of the mean style (StyleGAN2-ADA).
_W_AVG_BETA = 0.995
_MAPPING_LAYERS = 2


class ConstantInput(nn.Module):
    """A learned 4x4 map.

    Args:
        channels: Its channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(channels, 4, 4))

    def forward(self, v: Float[Tensor, "n m"]) -> Float[Tensor, "n c 4 4"]:
        """Returns the map once for each motion code."""
        return repeat(self.input, "c h w -> n c h w", n=len(v))


class MovingConstant(nn.Module):
    """A learned 4x4 map and, at each of its places, a motion code.

    Args:
        channels: Channels of the learned map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, v: Float[Tensor, "n m"]) -> Float[Tensor, "n c 4 4"]:
        """Returns the map of each motion code."""
        codes = repeat(v, "n m -> n m h w", h=4, w=4)
        return torch.cat([self.const.expand(len(v), -1, -1, -1), codes], dim=1)


class FirstBlock(SynthesisBlock):
    """The 4x4 block: what images start from and one convolution.

    Args:
        pyramid: Resolution and widths.
        w_dim: Numbers per style.
        motion_channels: Channels of the motion code; 0 if it does not enter here.
        use_noise: Whether noise is added after the convolution.
    """

    def __init__(self, pyramid: Pyramid, w_dim: int, motion_channels: int, use_noise: bool) -> None:
        c, rest = pyramid.channels(4), (1, use_noise, pyramid.conv_clamp)
        super().__init__(c + motion_channels, c, w_dim, 4, pyramid.img_channels, *rest)
        # Nested by the name that it has in the published weights.
        moving = nn.Sequential(OrderedDict(input=MovingConstant(c)))
        self.input = moving if motion_channels else ConstantInput(c)


class Synthesis(SynthesisBlocks):
    """Images from styles and motion codes.

    Args:
        pyramid: Resolution and widths.
        motion: Options of the motion encoder.
        conditioning: Where motion enters.
        w_dim: Numbers per style.
        c_dim: Numbers of the label; 0 for none.
        use_noise: Whether noise is added after each convolution, the same in every frame.

    Raises:
        UsageError: If styles and motion codes are to be added and are not equally wide.
    """

    b4: FirstBlock

    def __init__(
        self,
        pyramid: Pyramid,
        motion: MotionConfig,
        conditioning: Conditioning,
        w_dim: int,
        c_dim: int = 0,
        use_noise: bool = False,
    ) -> None:
        _check(conditioning, w_dim, motion.dim)
        motion_channels = motion.dim if conditioning == "concat_const" else 0
        w_dim += motion.dim if conditioning == "concat_w" else 0
        first = FirstBlock(pyramid, w_dim, motion_channels, use_noise)
        super().__init__(pyramid, first, w_dim, use_noise)
        self.conditioning = conditioning
        self.motion_encoder = MotionEncoder(motion, c_dim)

    def forward(
        self,
        ws: Float[Tensor, "n l d"],
        v: Float[Tensor, "n m"],
        update_emas: bool = False,
    ) -> Float[Tensor, "n c h w"]:
        """Returns images, roughly in [-1, 1].

        Args:
            ws: A style for each convolution and one for the last colours.
            v: Motion codes.
            update_emas: Ignored, there are no running averages here.
        """
        return self.render(self.b4.input(v), self._moved(ws, v))

    def _moved(self, ws: Tensor, v: Float[Tensor, "n m"]) -> Float[Tensor, "n l d2"]:
        if self.conditioning == "concat_w":
            return torch.cat([ws, v[:, None].expand(-1, ws.shape[1], -1)], dim=2)
        return ws + v[:, None] if self.conditioning == "sum_w" else ws


def _check(conditioning: Conditioning, w_dim: int, motion_dim: int) -> None:
    if conditioning == "sum_w" and w_dim != motion_dim:
        raise UsageError(
            f"conditioning=sum_w needs styles as wide as motion codes, got {w_dim} and "
            f"{motion_dim}; set one to the other or use concat_w"
        )


class Generator(ContinuousGenerator):
    """Videos from content and motion latents.

    Args:
        pyramid: Resolution and widths.
        motion: Options of the motion encoder.
        conditioning: Where motion enters.
        z_dim: Numbers per latent of the content.
        c_dim: Numbers of the label; 0 for none.
        w_dim: Numbers per style.
        use_noise: Whether noise is added after each convolution, the same in every frame.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        motion: MotionConfig,
        conditioning: Conditioning = "concat_const",
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        use_noise: bool = False,
    ) -> None:
        synthesis = Synthesis(pyramid, motion, conditioning, w_dim, c_dim, use_noise)
        mapping = MappingNetwork(z_dim, c_dim, w_dim, _MAPPING_LAYERS, w_avg_beta=_W_AVG_BETA)
        super().__init__(synthesis, mapping, pyramid.num_ws)
