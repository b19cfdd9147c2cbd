"""Options of the inversion stage's parts; importing this module does not import torch.

Source: "Encoding in Style" (pSp, CVPR 2021); eladrich/pixel2style2pixel `options/`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from vgbench.errors import UsageError
from vgbench.models.image_stage_config import WIDTHS, ImageOptions, image_stage
from vgbench.models.loss_config import (
    DISCRIMINATOR,
    check_perceptual_net,
    described,
    trained_elsewhere,
)
from vgbench.nn.encoder.options import BackboneSize
from vgbench.registry import MODELS
from vgbench.types import ModelConfig, Stage

LATENT_SPACES = ("w", "wplus")
# A map of the smallest image that its encoder reads still has a pixel at the end.
SMALLEST = 16
_MODEL = "inversion"


@dataclass(frozen=True)
class InverterOptions:
    """The encoder.

    Attributes:
        latent_space: `w`: one style per image, as StyleInV needs; `wplus`: one per layer, as
            StyleVideoGAN does.
        base_width: See `BackboneSize`.
        units: See `BackboneSize`.
        resolution: Width and height of the images that it reads, to which others are resized; 0
            for those of the videos. pSp's published encoders read 256.
    """

    latent_space: str = "w"
    base_width: int = 64
    units: tuple[int, ...] = (3, 4, 14, 3)
    resolution: int = 0

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        object.__setattr__(self, "units", tuple(self.units))
        if self.latent_space not in LATENT_SPACES:
            known = ", ".join(LATENT_SPACES)
            raise UsageError(f"latent_space={self.latent_space}: expected one of {known}")
        size = self.resolution
        if size and (size < SMALLEST or size & (size - 1)):
            raise UsageError(
                f"resolution={size}: expected 0 or a power of two, at least {SMALLEST}"
            )
        _ = self.backbone  # checks its sizes

    @property
    def backbone(self) -> BackboneSize:
        """Widths and depths."""
        return BackboneSize(self.base_width, self.units)


@dataclass(frozen=True)
class InversionLossOptions:
    """Weights of the losses; 0 for none.

    Deviates: pSp's perceptual and identity losses need networks that were trained elsewhere. By
    default the perceptual distance is that of the image GAN's discriminator, and styles that are
    known because their images were generated supervise the encoder. pSp's own losses for faces are
    `perceptual_net=lpips-alex identity=0.1 latent_reg=0`.

    Attributes:
        mse: Of the squared difference of pixels.
        perceptual: Of the difference in look.
        perceptual_net: To whom: `discriminator`, the image GAN's, which knows the domain; or
            `lpips-alex` or `lpips-vgg`, whose weights must be installed.
        identity: Of the difference of persons, for faces; 0.1 in pSp. Above 0 it needs the weights
            `arcface`.
        latent_reg: Of the squared error of the styles of generated images.
        w_norm: Of the distance of styles from the mean one; 0.005 in pSp for other domains than
            faces.
    """

    mse: float = 1.0
    perceptual: float = 0.8
    perceptual_net: str = DISCRIMINATOR
    identity: float = 0.0
    latent_reg: float = 1.0
    w_norm: float = 0.0

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a weight is negative, all are 0, or there is no such network.
        """
        check_perceptual_net(self.perceptual_net)
        for name, weight in self._weights.items():
            if weight < 0:
                raise UsageError(f"loss.{name}={weight}: expected a float >= 0")
        if not self.active:
            raise UsageError("all weights of the inversion's losses are 0; expected one above 0")

    @property
    def _weights(self) -> dict[str, float]:
        options = asdict(self)
        del options["perceptual_net"]
        return options

    @property
    def active(self) -> Mapping[str, float]:
        """The losses in use and their weights."""
        return {name: weight for name, weight in self._weights.items() if weight}

    @property
    def uses_discriminator(self) -> bool:
        """Whether the image GAN's discriminator is needed."""
        return self.perceptual > 0 and self.perceptual_net == DISCRIMINATOR

    @property
    def networks(self) -> tuple[str, ...]:
        """The catalogue's names of the weights that the losses in use need."""
        return trained_elsewhere(self.perceptual, self.perceptual_net, self.identity)

    def __str__(self) -> str:
        return described(self.active, self.perceptual_net)


def inversion_stages(
    config: ModelConfig,
    image: ImageOptions,
    encoder: InverterOptions,
    loss: InversionLossOptions,
    *,
    lr: float,
    flip: bool,
) -> tuple[Stage, Stage]:
    """Returns the stages `image` and `inversion`.

    Args:
        config: The options of the model that declares them; it has the image GAN's widths.
        image: How the image GAN is trained.
        encoder: The encoder.
        loss: Weights of its losses.
        lr: Its learning rate.
        flip: Whether half of its images are mirrored.

    Raises:
        UsageError: If an option is not accepted.
    """
    widths = {name: getattr(config, name) for name in WIDTHS}
    own = MODELS.get(_MODEL)(**widths, image=image, encoder=encoder, loss=loss, lr=lr, flip=flip)
    return image_stage(config, image), Stage("inversion", _MODEL, own)
