"""The video discriminators that StyleInV is trained with."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.styleinv.options import DiscriminatorOptions, SparseOptions
from vgbench.nn.stylegan2.first_frame_discriminator import FirstFrameDiscriminator
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator, check_clips


class StackedDiscriminator(nn.Module):
    """An image discriminator of all frames and constant maps of their distances side by side.

    Source: DIGAN (ICLR 2022), section 3.2; johannwyh/StyleInV `training/loss_styleinv.py`.

    Args:
        pyramid: Resolution and widths; its colour channels are those of one frame.
        fusion: `frames` per clip and the `max_frames` of the clips that they are drawn from.
        mbstd_group_size: Clips per group of the minibatch standard deviation.
    """

    def __init__(self, pyramid: Pyramid, fusion: FrameFusion, mbstd_group_size: int = 4) -> None:
        super().__init__()
        self.pyramid, self.fusion = pyramid, fusion
        channels = (pyramid.img_channels + 1) * fusion.frames - 1
        stacked = Pyramid(
            pyramid.resolution,
            channels,
            pyramid.channel_base,
            pyramid.channel_max,
            pyramid.conv_clamp,
        )
        # A video discriminator of one frame is StyleGAN2's image discriminator.
        single = FrameFusion(1, resolution=pyramid.resolutions[1], merge="mean")
        self.image = VideoDiscriminator(stacked, single, mbstd_group_size=mbstd_group_size)

    def forward(
        self,
        video: Float[Tensor, "b c t h w"],
        frame_index: Float[Tensor, "b t"],
        c: Float[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, " b"]:
        """Returns one logit per clip; see `VideoDiscriminator`. Labels are not looked at."""
        check_clips(video, self.pyramid, self.fusion.frames)
        size = self.pyramid.resolution
        gaps = frame_index.diff(dim=1) / (self.fusion.max_frames - 1)
        maps = repeat(gaps, "b g -> b g h w", h=size, w=size)
        stacked = torch.cat([rearrange(video, "b c t h w -> b (t c) h w"), maps], dim=1)
        logits: Tensor = self.image(stacked[:, :, None], torch.zeros_like(frame_index[:, :1]))
        return logits


def build_discriminator(
    options: DiscriminatorOptions,
    sparse: SparseOptions,
    pyramid: Pyramid,
    mbstd_group_size: int = 4,
) -> nn.Module:
    """Returns the discriminator that the options ask for.

    Args:
        options: Which one.
        sparse: The frames that it sees.
        pyramid: Resolution and widths.
        mbstd_group_size: Clips per group of the minibatch standard deviation.

    Raises:
        UsageError: If it cannot look at these frames or has no maps to merge them at.
    """
    fusion = options.fusion(sparse)
    if options.kind == "digan":
        return StackedDiscriminator(pyramid, fusion, mbstd_group_size)
    kind = FirstFrameDiscriminator if options.kind == "ffc" else VideoDiscriminator
    return kind(pyramid, fusion, mbstd_group_size=mbstd_group_size)
