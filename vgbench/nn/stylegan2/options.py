"""Sizes of StyleGAN2 networks; importing this module does not import torch."""

import math
from dataclasses import dataclass
from typing import Literal

from vgbench.errors import UsageError


@dataclass(frozen=True)
class Pyramid:
    """Resolutions from 4x4 up and the channels of their maps.

    Attributes:
        resolution: Width and height of the images, a power of two, at least 8.
        img_channels: Colour channels.
        channel_base: Channels times resolution, as long as `channel_max` allows.
        channel_max: Most channels of any map.
        conv_clamp: Largest magnitude of a convolution's output; None for no limit.
    """

    resolution: int
    img_channels: int = 3
    channel_base: int = 16384
    channel_max: int = 512
    conv_clamp: float | None = 256.0

    def __post_init__(self) -> None:
        """Checks the resolution.

        Raises:
            UsageError: If there are no networks for it.
        """
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise UsageError(
                f"StyleGAN2 has no networks for {self.resolution}x{self.resolution} images; "
                "expected 8, 16, 32, ..."
            )

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, ... up to the images' own."""
        return tuple(2**i for i in range(2, int(math.log2(self.resolution)) + 1))

    @property
    def num_ws(self) -> int:
        """Styles of one image: one per convolution of the generator and one for the last RGB."""
        return 2 * len(self.resolutions)

    def channels(self, resolution: int) -> int:
        """Returns the channels of maps of this resolution."""
        return min(self.channel_base // resolution, self.channel_max)


@dataclass(frozen=True)
class FrameFusion:
    """How a video discriminator looks at the frames of a clip together.

    Attributes:
        frames: Frames per clip.
        resolution: Of the first maps that belong to the clip instead of a frame.
        merge: `concat`: channels of all frames side by side, each frame having fewer;
            `mean`: their average, which leaves every width as in an image discriminator.
        divisor: By how much `concat` cuts the channels of a frame.
        temporal_shift: Whether frames exchange channels in each block before they are merged.
        max_frames: Length of the clips that frames are drawn from.
        uniform: Whether frames are evenly spaced, so that one distance says all.
        use_time: Whether the logit depends on the distances of frames and on the label; both are
            replaced by zeros otherwise.
    """

    frames: int = 3
    resolution: int = 16
    merge: Literal["concat", "mean"] = "concat"
    divisor: int = 2
    temporal_shift: bool = False
    max_frames: int = 1024
    uniform: bool = False
    use_time: bool = True

    @property
    def distances(self) -> int:
        """Distances between frames that the discriminator is told."""
        return min(self.frames - 1, 1) if self.uniform else self.frames - 1
