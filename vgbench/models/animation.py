"""What models can do besides drawing videos if they move through the styles of an image GAN."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.nn.noise import GeneratorLike

REFERENCES = ("mean", "first")


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


@dataclass(frozen=True)
class Offset:
    """What of a photograph is given to a video whose subject is another: the offset trick.

    The difference between the photograph's latent and a reference is added to all frames, but not
    along the directions in which the training subject moves most.

    Attributes:
        ref: The reference: the `mean` of the training frames, or each video's `first` frame.
        rank: Number of those directions, 0 for the naive offset, which adds the whole difference;
            None for as many as explain most of the variance.
        per_style: Whether each style vector has directions of its own.
    """

    ref: str = "mean"
    rank: int | None = None
    per_style: bool = False

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            UsageError: If one is not accepted.
        """
        if self.ref not in REFERENCES:
            raise UsageError(f"ref={self.ref}: expected one of {', '.join(REFERENCES)}")
        if self.rank is not None and self.rank < 0:
            raise UsageError(f"rank={self.rank}: expected an integer >= 0")


DEFAULT_OFFSET = Offset()


class OffsetAnimator(Animator):
    """A video GAN that gives its own subject's motion to the subject of a photograph."""

    @abstractmethod
    def animate(
        self,
        photos: Float[Tensor, "n c h w"],
        frames: int,
        generator: GeneratorLike,
        styles: Sequence[nn.Module] = (),
        offset: Offset = DEFAULT_OFFSET,
    ) -> list[Float[Tensor, "n c t h w"]]:
        """Returns videos of photographs; see `Animator.animate`.

        `offset` is what of the photographs is given to the videos: with `Offset("first", 0)` they
        start from the photographs' inversions.

        Raises:
            UsageError: If the offset leaves more directions alone than the model knows.
        """
