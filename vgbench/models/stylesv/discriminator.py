"""The video discriminator of StyleSV, started from an image discriminator.

The network is `vgbench.nn.stylegan2.video_discriminator.VideoDiscriminator` with frames averaged
and temporal shift. With one frame it is an image discriminator of the same widths.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator


@torch.no_grad()
def start_from_image(
    video: VideoDiscriminator, image_state: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Copies an image discriminator's weights; returns the names that keep their own values.

    The image discriminator ends in one number and the video discriminator in a vector that is
    multiplied with the condition, so the one output row fills all rows. Time and label layers
    have no counterpart and stay as they are.

    Source: StyleSV (ICLR 2023), section 3.2; genforce/StyleSV `src/training/training_loop.py`.

    Args:
        video: Discriminator of more than one frame, merged by `mean`.
        image_state: State dict of one that was built for one frame with the same widths.
    """
    kept = []
    for name, value in video.state_dict().items():
        if name in image_state:
            value.copy_(image_state[name])
        else:
            kept.append(name)
    return tuple(kept)
