"""Video discriminator that looks at the first frame on its own."""

from dataclasses import replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vgbench.nn.equalized import EqualLinear
from vgbench.nn.stylegan2.discriminator import Epilogue, project
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator, check_clips


class FirstFrameDiscriminator(VideoDiscriminator):
    """Logit of a clip whose first frame is a condition, not one of the merged frames.

    Below the merged resolution the first frame has blocks of its own; their features join the
    condition of the other frames, whose distances alone are encoded.

    Source: StyleInV (ICCV 2023), johannwyh/StyleInV `training/networks_styleinv.py`
    (`DiscriminatorFFC`), whose state-dict names these are.

    Args:
        pyramid: Resolution and widths.
        fusion: How frames are looked at together; its `frames` count the first one.
        c_dim: Numbers of the label; 0 for none.
        mapping_layers: Layers that map the label and the distances to a condition.
        mbstd_group_size: Clips per group of the minibatch standard deviation.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        fusion: FrameFusion,
        c_dim: int = 0,
        mapping_layers: int = 2,
        mbstd_group_size: int = 4,
    ) -> None:
        others = replace(fusion, frames=fusion.frames - 1)
        super().__init__(pyramid, others, c_dim, mapping_layers, mbstd_group_size)
        for resolution in pyramid.resolutions[:0:-1]:
            if resolution <= fusion.resolution:
                self.add_module(f"bcond{resolution}", self._block(resolution, 1))
        width = pyramid.channels(4)
        self.b4cond = Epilogue(width, width, mbstd_group_size, pyramid.conv_clamp)
        self.b4.out = EqualLinear(width, width if self.mapping is None else 2 * width)

    def forward(
        self,
        video: Float[Tensor, "b c t h w"],
        frame_index: Float[Tensor, "b t"],
        c: Float[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, " b"]:
        """Returns one logit per clip; see `VideoDiscriminator`."""
        frames = self.fusion.frames + 1
        check_clips(video, self.pyramid, frames)
        maps = self.frame_maps(rearrange(video, "b c t h w -> (b t) c h w"))
        maps = rearrange(maps, "(b t) c h w -> b t c h w", t=frames)
        first = self.b4cond(self.clip_maps(maps[:, 0], "bcond"))
        others = self.merged(maps[:, 1:].flatten(0, 1))
        known = self.condition(frame_index[:, 1:], c)
        condition = first if known is None else torch.cat([known, first], dim=1)
        return project(self.b4(self.clip_maps(others)), condition)
