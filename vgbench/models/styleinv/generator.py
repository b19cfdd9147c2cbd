"""From one image to the frames of its video: each is an inversion of that image.

Source: StyleInV (ICCV 2023), section 3; johannwyh/StyleInV `training/networks_styleinv.py`,
whose state-dict names these are.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.styleinv.motion import TemporalStyle
from vgbench.models.styleinv.options import EncoderOptions, MotionOptions, StyleOptions
from vgbench.nn.encoder.modulated import ModulatedEncoder

# Factor of a residual that is restricted to principal directions (MoCoGAN-HD's).
_PCA_GAIN = 0.2

# Images `[n, c, h, w]` from styles `[n, d]`, each style in all layers of a frozen generator.
Render = Callable[[Tensor], Tensor]


class PrincipalResidual(nn.Module):
    """Restricts a difference of styles to the directions in which styles vary most.

    Source: MoCoGAN-HD (ICLR 2021), section 3.1; johannwyh/StyleInV
    `training/networks_styleinv.py`.

    Args:
        w_dim: Numbers per style.
        count: Directions, at most `w_dim`.
    """

    directions: Tensor

    def __init__(self, w_dim: int, count: int) -> None:
        super().__init__()
        self.weights = nn.Linear(w_dim, count)
        nn.init.normal_(self.weights.weight, std=0.02)
        nn.init.zeros_(self.weights.bias)
        self.register_buffer("directions", torch.eye(w_dim)[:count].clone())

    @torch.no_grad()
    def fit(self, styles: Float[Tensor, "n d"]) -> None:
        """Finds the directions, as long as the deviation of the styles along them.

        Args:
            styles: Styles of many random latents, more than there are directions.
        """
        centred = (styles - styles.mean(dim=0)).double()
        _, values, axes = torch.linalg.svd(centred, full_matrices=False)
        deviations = values[:, None] / (len(styles) - 1) ** 0.5
        self.directions.copy_((deviations * axes)[: len(self.directions)])

    def forward(self, w: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Returns the restricted difference."""
        restricted: Tensor = _PCA_GAIN * self.weights(w) @ self.directions
        return restricted


class Opening(NamedTuple):
    """What all frames of a video share.

    Attributes:
        w0: Style of the image that it starts from.
        base: Style that the encoder's output is added to.
        trunk: Map of the image before the first block of the encoder; None without an encoder.
    """

    w0: Float[Tensor, "b d"]
    base: Float[Tensor, "b d"]
    trunk: Float[Tensor, "b c h w"] | None


class StyleInversion(nn.Module):
    """Styles of a video's frames, given the image it starts from: the network that is trained.

    Args:
        encoder: Options of the modulated encoder.
        motion: Options of the motion codes.
        style: Options of the temporal styles.
        w_dim: Numbers per style of the image generator; without an encoder as many as per temporal
            style.
        img_channels: Colour channels.
    """

    def __init__(
        self,
        encoder: EncoderOptions,
        motion: MotionOptions,
        style: StyleOptions,
        w_dim: int = 512,
        img_channels: int = 3,
    ) -> None:
        super().__init__()
        self.options = encoder
        self.mapping = TemporalStyle(motion, style, w_dim)
        self.encoder = None
        if encoder.kind == "inversion":
            self.encoder = ModulatedEncoder(
                encoder.backbone, encoder.modulated, style.dim, w_dim, img_channels
            )
        self.restrict = PrincipalResidual(w_dim, encoder.pca) if encoder.pca else None

    def opening(
        self,
        x0: Float[Tensor, "b c h w"],
        w0: Float[Tensor, "b d"],
        w_avg: Float[Tensor, " d"],
    ) -> Opening:
        """Returns what all frames of a video share, computed once however many follow.

        Args:
            x0: Image that each video starts from.
            w0: Its style.
            w_avg: The generator's mean style.
        """
        base = w_avg.expand_as(w0) if self.options.base == "w_avg" else w0
        return Opening(w0, base, None if self.encoder is None else self.encoder.trunk(x0))

    def forward(
        self,
        opening: Opening,
        frame_index: Float[Tensor, "b t"],
        motion_z: Float[Tensor, "b l z"],
    ) -> Float[Tensor, "b t d"]:
        """Returns the style of each frame; every time can be asked for on its own.

        Args:
            opening: What the frames share.
            frame_index: Times in frames, at least 0.
            motion_z: Noise of each video, see `MotionEncoder.forward`.
        """
        w: Tensor = self.mapping(opening.w0, frame_index, motion_z)
        if self.encoder is not None and opening.trunk is not None:
            w = self.encoder.under(opening.trunk, w)
        if self.restrict is not None:
            w = self.restrict(w)
        return w + opening.base[:, None]


class Rollout(NamedTuple):
    """Some frames of generated videos.

    Attributes:
        x0: Image that each video starts from.
        w0: Its style.
        w: Style of each frame.
        video: The frames.
        frame_index: Their times in frames.
    """

    x0: Float[Tensor, "b c h w"]
    w0: Float[Tensor, "b d"]
    w: Float[Tensor, "b t d"]
    video: Float[Tensor, "b c t h w"]
    frame_index: Float[Tensor, "b t"]


def roll_out(
    network: StyleInversion,
    render: Render,
    w0: Float[Tensor, "b d"],
    w_avg: Float[Tensor, " d"],
    frame_index: Float[Tensor, "b t"],
    motion_z: Float[Tensor, "b l z"],
) -> Rollout:
    """Returns generated frames at the given times.

    Gradients flow through the frames, not through the image that the video starts from.

    Args:
        network: The trained network.
        render: The frozen generator.
        w0: Style of the image that each video starts from.
        w_avg: The generator's mean style.
        frame_index: Times in frames.
        motion_z: Noise of each video.
    """
    with torch.no_grad():
        x0 = render(w0)
    w = network(network.opening(x0, w0, w_avg), frame_index, motion_z)
    frames = render(rearrange(w, "b t d -> (b t) d"))
    video = rearrange(frames, "(b t) c h w -> b c t h w", b=len(w))
    return Rollout(x0, w0, w, video, frame_index)
