"""The image generator of StyleGAN2.

Source: StyleGAN2 (CVPR 2020); state-dict names are those of NVlabs/stylegan2-ada-pytorch
`training/networks.py`.
"""

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.styled_generator import StyledGenerator
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.nn.stylegan2.synthesis import PixelNoise, SynthesisBlock, SynthesisBlocks

# Share of the old average in each update of the mean style (StyleGAN2-ADA).
_W_AVG_BETA = 0.995


class ConstantBlock(SynthesisBlock):
    """The 4x4 block: a learned constant and one convolution.

    Args:
        pyramid: Resolution and widths.
        w_dim: Numbers per style.
        use_noise: Whether noise is added after the convolution.
    """

    def __init__(self, pyramid: Pyramid, w_dim: int, use_noise: bool) -> None:
        c, clamp = pyramid.channels(4), pyramid.conv_clamp
        super().__init__(c, c, w_dim, 4, pyramid.img_channels, 1, use_noise, clamp)
        self.const = nn.Parameter(torch.randn(c, 4, 4))


class Synthesis(SynthesisBlocks):
    """Images from styles, starting from a learned constant.

    Args:
        pyramid: Resolution and widths.
        w_dim: Numbers per style.
        use_noise: Whether noise is added after each convolution.
    """

    b4: ConstantBlock

    def __init__(self, pyramid: Pyramid, w_dim: int, use_noise: bool) -> None:
        super().__init__(pyramid, ConstantBlock(pyramid, w_dim, use_noise), w_dim, use_noise)

    def forward(
        self, ws: Float[Tensor, "n l d"], noise: PixelNoise = "const"
    ) -> Float[Tensor, "n c h w"]:
        """Returns images, roughly in [-1, 1]; see `SynthesisBlocks.render`."""
        return self.render(repeat(self.b4.const, "c h w -> n c h w", n=len(ws)), ws, noise)


class Generator(StyledGenerator):
    """Images from latents.

    Args:
        pyramid: Resolution and widths.
        z_dim: Numbers per latent.
        c_dim: Numbers of the label; 0 for none.
        w_dim: Numbers per style.
        mapping_layers: Layers of the mapping network.
        use_noise: Whether noise is added after each convolution.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 8,
        use_noise: bool = True,
    ) -> None:
        mapping = MappingNetwork(z_dim, c_dim, w_dim, mapping_layers, w_avg_beta=_W_AVG_BETA)
        super().__init__(Synthesis(pyramid, w_dim, use_noise), mapping, pyramid.num_ws)

    def forward(
        self,
        z: Float[Tensor, "n z"],
        c: Float[Tensor, "n k"] | None = None,
        truncation_psi: float = 1.0,
        noise: PixelNoise = "const",
    ) -> Float[Tensor, "n c h w"]:
        """Returns images, roughly in [-1, 1].

        Args:
            z: Latents, standard normal.
            c: Labels; looked at only by a network that has them.
            truncation_psi: 1 for the full variety, less for more typical images.
            noise: Noise of each pixel: `const`, `none`, or the generators to draw it from.
        """
        images: Tensor = self.synthesis(self.styles(z, c, truncation_psi), noise)
        return images
