"""Code of the distances between the frames of a clip."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

_EMBEDDING_DIM = 256


class TimeDistances(nn.Module):
    """Describes each distance by a learned vector and by sine waves of its length.

    Source: StyleGAN-V (CVPR 2022), section 3.3; universome/stylegan-v `src/training/layers.py`,
    whose parameter names these are.

    Args:
        max_frames: Number of learned vectors: one for each distance from 0 to `max_frames - 1`.
        count: Distances per clip, the first ones if there are more.
    """

    freqs: Tensor

    def __init__(self, max_frames: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.const_embed = nn.Embedding(max_frames, _EMBEDDING_DIM)
        octaves = math.ceil(math.log2(max_frames))
        # Half a wave fits into the longest clip, 2 ** (octaves - 1) of them at most.
        freqs = math.pi * 2 ** torch.arange(octaves) / 2**octaves
        self.register_buffer("freqs", freqs, persistent=False)
        self.dim = count * (_EMBEDDING_DIM + 2 * octaves)

    def forward(self, frame_index: Float[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """Returns the codes of the distances side by side.

        Args:
            frame_index: Times of the frames of each clip, ascending, in frames.
        """
        distances = frame_index.diff(dim=1)[:, : self.count]
        angles = distances[..., None] * self.freqs
        learned = self.const_embed(distances.round().long())
        return torch.cat([learned, angles.sin(), angles.cos()], dim=2).flatten(1)
