"""The image discriminator of StyleGAN2.

Source: StyleGAN2 (CVPR 2020); state-dict names are those of NVlabs/stylegan2-ada-pytorch
`training/networks.py`.
"""

from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.stylegan2.discriminator import Epilogue, ResidualBlock, project
from vgbench.nn.stylegan2.options import Pyramid


class Discriminator(nn.Module):
    """Logit of an image.

    Args:
        pyramid: Resolution and widths.
        c_dim: Numbers of the label; 0 for none.
        mapping_layers: Layers that map the label to a condition.
        mbstd_group_size: Images per group of the minibatch standard deviation.
    """

    def __init__(
        self, pyramid: Pyramid, c_dim: int = 0, mapping_layers: int = 8, mbstd_group_size: int = 4
    ) -> None:
        super().__init__()
        self.shape = (pyramid.img_channels, pyramid.resolution, pyramid.resolution)
        self.resolutions, clamp = pyramid.resolutions[:0:-1], pyramid.conv_clamp
        for resolution in self.resolutions:
            is_first = resolution == pyramid.resolution
            c_mid, c_out = pyramid.channels(resolution), pyramid.channels(resolution // 2)
            c_in = pyramid.img_channels if is_first else c_mid
            self.add_module(f"b{resolution}", ResidualBlock(c_in, c_mid, c_out, clamp, is_first))
        width = pyramid.channels(4)
        self.mapping = MappingNetwork(0, c_dim, width, mapping_layers) if c_dim else None
        self.b4 = Epilogue(width, width if c_dim else 1, mbstd_group_size, clamp)

    def forward(
        self, images: Float[Tensor, "n c h w"], c: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, " n"]:
        """Returns one logit per image.

        Args:
            images: Images in [-1, 1].
            c: Labels; looked at only by a network that has them.

        Raises:
            UsageError: If the images have another size than the network was built for.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise UsageError(
                f"this image discriminator was built for (batch, "
                f"{', '.join(map(str, self.shape))}), got {tuple(images.shape)}"
            )
        for resolution in self.resolutions:
            images = self.get_submodule(f"b{resolution}")(images)
        condition = None if self.mapping is None else self.mapping(None, c)
        return project(self.b4(images), condition)
