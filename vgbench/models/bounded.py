"""Models that draw through the inversion of real videos, by which their quality is bounded."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor


class InvertingGAN(ABC):
    """A video GAN whose videos are pictures of latents that an encoder finds of real videos.

    It learns the motion of these latents alone, so what the encoder and the image generator make
    of real videos is the best that it can draw. Rows of it say how good that is.
    """

    @abstractmethod
    def reconstruct(self, video: Float[Tensor, "n c t h w"]) -> Float[Tensor, "n c t h w"]:
        """Returns the pictures of the latents of clips in [-1, 1], however long."""
