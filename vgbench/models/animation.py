"""What models can do besides drawing videos if they move through the styles of an image GAN."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.noise import GeneratorLike


class Animator(ABC):
    """A video GAN that animates photographs, and renders its videos in other styles."""

    @abstractmethod
    def invert(self, photos: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Returns the images that videos of these photographs start from.

        Args:
            photos: In [-1, 1], of the model's size.
        """

    @abstractmethod
    def animate(
        self,
        photos: Float[Tensor, "n c h w"],
        frames: int,
        generator: GeneratorLike,
        styles: Sequence[nn.Module] = (),
    ) -> list[Float[Tensor, "n c t h w"]]:
        """Returns videos of photographs: by the model's own image generator, then by others.

        Args:
            photos: In [-1, 1], of the model's size.
            frames: Frames per video.
            generator: Of the motion; video i depends on generator i alone.
            styles: Further image generators; see `restyle`.

        Raises:
            CheckpointError: If an image generator has other styles.
        """

    @abstractmethod
    def restyle(self, style: nn.Module | None) -> None:
        """Lets another image generator render all videos from now on, at no extra cost.

        Args:
            style: One that was finetuned from the model's own; None for the model's own.

        Raises:
            CheckpointError: If it has other styles.
        """
