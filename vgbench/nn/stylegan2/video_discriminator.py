"""Discriminator of a few frames and their distances in time.

Each frame runs through the blocks of an image discriminator; at some resolution the frames of a
clip are merged, and the logit of the clip is conditioned on how far apart they are.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.stylegan2.discriminator import Epilogue, ResidualBlock, project
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.time_distances import TimeDistances


class VideoDiscriminator(nn.Module):
    """Logit of a clip.

    Source: StyleGAN-V (CVPR 2022), section 3.3; StyleSV (ICLR 2023) for `mean` and temporal
    shift. State-dict names are those of universome/stylegan-v `src/training/networks.py`.

    Args:
        pyramid: Resolution and widths.
        fusion: How frames are looked at together.
        c_dim: Numbers of the label; 0 for none.
        mapping_layers: Layers that map the label and the distances to a condition.
        mbstd_group_size: Clips per group of the minibatch standard deviation.
        freeze_layers: Convolutions, counted from the input, that are not trained; a block that
            has one does not shift frames.

    Raises:
        UsageError: If there are no maps of the resolution at which frames are to be merged.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        fusion: FrameFusion,
        c_dim: int = 0,
        mapping_layers: int = 2,
        mbstd_group_size: int = 4,
        freeze_layers: int = 0,
    ) -> None:
        super().__init__()
        _check(pyramid, fusion)
        self.pyramid, self.fusion, self.c_dim = pyramid, fusion, c_dim
        for resolution in pyramid.resolutions[:0:-1]:
            self.add_module(f"b{resolution}", self._block(resolution, fusion.frames))
        width = pyramid.channels(4)
        self.time_encoder, self.mapping = None, None
        if fusion.frames > 1:
            self.time_encoder = TimeDistances(fusion.max_frames, fusion.distances)
            c_dim += self.time_encoder.dim
        if c_dim:
            self.mapping = MappingNetwork(0, c_dim, width, mapping_layers)
        out_features = width if c_dim else 1
        self.b4 = Epilogue(width, out_features, mbstd_group_size, pyramid.conv_clamp)
        self._freeze(freeze_layers)

    def _block(self, resolution: int, frames: int) -> ResidualBlock:
        """The block that halves maps of a resolution; merged maps are made of `frames`."""
        pyramid, fusion = self.pyramid, self.fusion
        c_in, c_mid, c_out = (
            pyramid.channels(r) for r in (resolution, resolution, resolution // 2)
        )
        if fusion.merge == "concat" and resolution == fusion.resolution:
            c_in = c_in // fusion.divisor * frames
        if fusion.merge == "concat" and resolution // 2 == fusion.resolution:
            c_out = c_out // fusion.divisor
        is_first = resolution == pyramid.resolution
        c_in = pyramid.img_channels if is_first else c_in
        block = ResidualBlock(c_in, c_mid, c_out, pyramid.conv_clamp, is_first)
        if fusion.temporal_shift and resolution > fusion.resolution:
            block.shift_frames = frames
        return block

    def _freeze(self, count: int) -> None:
        for block in self.children():
            if isinstance(block, ResidualBlock) and count > 0:
                for layer in block.layers[:count]:
                    layer.requires_grad_(False)
                count -= len(block.layers)
                block.shift_frames = 0

    def forward(
        self,
        video: Float[Tensor, "b c t h w"],
        frame_index: Float[Tensor, "b t"],
        c: Float[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, " b"]:
        """Returns one logit per clip.

        Args:
            video: Clips in [-1, 1].
            frame_index: Times of their frames, ascending, in frames.
            c: Labels; looked at only by a network that has them.

        Raises:
            UsageError: If the clips have another size than the network was built for.
        """
        check_clips(video, self.pyramid, self.fusion.frames)
        maps = self.frame_maps(rearrange(video, "b c t h w -> (b t) c h w"))
        features = self.b4(self.clip_maps(self.merged(maps)))
        return project(features, self.condition(frame_index, c))

    def frame_maps(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 r r"]:
        """Returns the maps of single frames, at the resolution where they are merged."""
        for resolution in self.pyramid.resolutions[::-1]:
            if resolution > self.fusion.resolution:
                images = self.get_submodule(f"b{resolution}")(images)
        return images

    def merged(self, maps: Float[Tensor, "n c r r"]) -> Float[Tensor, "b c2 r r"]:
        """Returns the maps of clips, of the maps of their frames `(b t)`."""
        frames = self.fusion.frames
        if self.fusion.merge == "mean":
            return rearrange(maps, "(b t) c h w -> b t c h w", t=frames).mean(dim=1)
        return rearrange(maps, "(b t) c h w -> b (t c) h w", t=frames)

    def clip_maps(self, maps: Float[Tensor, "b c r r"], prefix: str = "b") -> Tensor:
        """Returns the 4x4 maps of merged ones."""
        for resolution in self.pyramid.resolutions[:0:-1]:
            if resolution <= self.fusion.resolution:
                maps = self.get_submodule(f"{prefix}{resolution}")(maps)
        return maps

    def condition(
        self, frame_index: Float[Tensor, "b t"], c: Float[Tensor, "b k"] | None
    ) -> Float[Tensor, "b o"] | None:
        """Returns what the features of each clip are multiplied with; None for nothing."""
        if self.mapping is None:
            return None
        known = self.known(frame_index, c)
        condition: Tensor = self.mapping(None, known if self.fusion.use_time else 0 * known)
        return condition

    def known(
        self, frame_index: Float[Tensor, "b t"], c: Float[Tensor, "b k"] | None
    ) -> Float[Tensor, "b d"]:
        """Returns the label and the code of the distances side by side, whichever there are."""
        parts = []
        if self.c_dim:
            if c is None:
                raise UsageError(f"this discriminator needs labels of {self.c_dim} numbers")
            parts.append(c)
        if self.time_encoder is not None:
            parts.append(self.time_encoder(frame_index))
        return torch.cat(parts, dim=1)


def check_clips(video: Tensor, pyramid: Pyramid, frames: int) -> None:
    """Raises `UsageError` if the clips have another size than a network was built for."""
    expected = (pyramid.img_channels, frames, pyramid.resolution, pyramid.resolution)
    if tuple(video.shape[1:]) != expected:
        raise UsageError(
            f"this video discriminator was built for (batch, {', '.join(map(str, expected))}), "
            f"got {tuple(video.shape)}"
        )


def _check(pyramid: Pyramid, fusion: FrameFusion) -> None:
    accepted = pyramid.resolutions[1:-1]
    if fusion.resolution not in accepted:
        raise UsageError(
            f"frames are to be merged at {fusion.resolution}x{fusion.resolution}: for "
            f"{pyramid.resolution}x{pyramid.resolution} videos expected one of "
            f"{', '.join(map(str, accepted)) or 'none, use larger videos'}"
        )
