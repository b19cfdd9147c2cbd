"""First-frame-aware sparse training: the times of generated frames and what is shown of them.

Source: StyleInV (ICCV 2023), section 3; johannwyh/StyleInV `training/sampling.py`,
`training/loss_styleinv.py`.
Deviates: generated clips have the times of the real ones they compete with, where the reference
draws such times anew.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vgbench.models.styleinv.generator import Rollout
from vgbench.models.styleinv.options import SparseOptions
from vgbench.nn.noise import GeneratorLike, uniform


class Shown(NamedTuple):
    """A clip as the discriminator sees it.

    Attributes:
        video: Its frames in [-1, 1].
        frame_index: Their times in frames.
    """

    video: Float[Tensor, "b c t h w"]
    frame_index: Float[Tensor, "b t"]


def real_times(times: Float[Tensor, "b t"], options: SparseOptions) -> Float[Tensor, "b t"]:
    """Returns the times of real clips in whole frames, from the times that the policy gives.

    Args:
        times: Times of the frames that `options.policy` chose, in its unit.
        options: Options.
    """
    return (times * (options.clip - 1)).round() if options.include_first else times


def times_to_generate(
    real: Float[Tensor, "b t"], options: SparseOptions, generator: GeneratorLike
) -> Float[Tensor, "b t2"]:
    """Returns the times at which to generate frames: 0, and the sparse ones of real clips.

    Args:
        real: Times of the real clips, in frames; see `real_times`.
        options: Options.
        generator: Where fractions of a frame come from, one for all videos or one for each;
            looked at only if sparse frames may start between two frames.
    """
    sparse = real[:, 1:] if options.include_first else real
    if options.fractional_offset:
        # at most to the end of the clip, as distances beyond have no code
        room = (options.clip - 1 - sparse[:, -1:]).clamp(max=1)
        sparse = sparse + room * uniform(len(real), (1,), generator, real.device)
    return torch.cat([torch.zeros_like(real[:, :1]), sparse], dim=1)


def shown(rollout: Rollout, options: SparseOptions) -> Shown:
    """Returns what the discriminator sees of videos whose first frame is at time 0.

    The image that a video starts from stands in for the generated frame 0, unless the options say
    otherwise.
    """
    rest = rollout.video[:, :, 1:]
    if not options.include_first:
        return Shown(rest, rollout.frame_index[:, 1:])
    if options.first_from == "generated":
        return Shown(rollout.video, rollout.frame_index)
    return Shown(torch.cat([rollout.x0[:, :, None], rest], dim=2), rollout.frame_index)
