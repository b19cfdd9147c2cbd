"""Temporal shift module: frames exchange channels with their neighbours."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

_FOLDS = 8


def temporal_shift(x: Float[Tensor, "n c h w"], frames: int) -> Float[Tensor, "n c h w"]:
    """Returns the maps with a quarter of the channels taken from neighbouring frames.

    The first eighth comes from the next frame, the second eighth from the one before. Where there
    is no such frame the channels are zero, so in a clip of one frame a quarter of all
    channels is; leave the module out there.

    Args:
        x: Maps of the frames `(b t)` of all clips.
        frames: Frames per clip.

    Source: "TSM: Temporal Shift Module for Efficient Video Understanding" (ICCV 2019), section 3;
    genforce/StyleSV `src/training/networks.py`.
    """
    clips = rearrange(x, "(b t) c h w -> b t c h w", t=frames)
    fold = x.shape[1] // _FOLDS
    following = F.pad(clips[:, 1:, :fold], (0, 0, 0, 0, 0, 0, 0, 1))
    previous = F.pad(clips[:, :-1, fold : 2 * fold], (0, 0, 0, 0, 0, 0, 1, 0))
    shifted = torch.cat([following, previous, clips[:, :, 2 * fold :]], dim=2)
    return rearrange(shifted, "b t c h w -> (b t) c h w")
