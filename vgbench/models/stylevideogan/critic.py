"""The critic of W+ sequences: a narrow embedding of each frame, then convolutions over time."""

import math
from itertools import pairwise

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.stylevideogan.mlp import LeakyReLU, mlp
from vgbench.models.stylevideogan.options import CriticOptions


class Critic(nn.Module):
    """Scores sequences of standardised latents of a fixed length.

    Frames are embedded one by one, so what is judged over time is small, as the generator's
    motion is. No normalisation: the gradient penalty is of each clip by itself.

    Args:
        options: Its options.
        num_ws: Style vectors per frame.
        w_dim: Numbers per style vector.
        frames: Frames per clip.

    Source: StyleVideoGAN (BMVC 2021), section 3.
    """

    def __init__(self, options: CriticOptions, num_ws: int, w_dim: int, frames: int) -> None:
        super().__init__()
        self.embedding = mlp(options.widths(num_ws * w_dim), options.slope)
        channels = (options.embed_dim, *options.conv_channels)
        convolutions: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            convolution = nn.Conv1d(inputs, outputs, options.kernel, 2, options.kernel // 2)
            nn.init.normal_(convolution.weight, 0, options.conv_std)
            convolutions += [convolution, LeakyReLU(options.slope)]
            frames = math.ceil(frames / 2)
        self.convolutions = nn.Sequential(*convolutions)
        self.out = nn.Linear(channels[-1] * frames, 1)

    def forward(self, latents: Float[Tensor, "b t l d"]) -> Float[Tensor, " b"]:
        """Returns the score of each sequence; high means real."""
        frames = self.embedding(rearrange(latents, "b t l d -> (b t) (l d)"))
        maps = self.convolutions(rearrange(frames, "(b t) c -> b c t", b=len(latents)))
        scores: Tensor = self.out(maps.flatten(1))
        return scores.squeeze(1)
