"""Options of the image GAN whose styles other models move through; importing imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vgbench.errors import UsageError
from vgbench.registry import MODELS
from vgbench.types import ModelConfig, Stage

_IMAGE_MODEL = "stylegan2-frames"
# Options that a model shares with the image GAN that it starts from.
WIDTHS = ("z_dim", "w_dim", "channel_base", "channel_max")

# Options of a model on such an image GAN: its sizes for 32x32 and 64x64 on a CPU, ...
TINY: Mapping[str, Any] = {
    "z_dim": 64,
    "w_dim": 64,
    "channel_base": 1024,
    "channel_max": 64,
    "image": {"mapping_layers": 2, "mbstd_group_size": 4, "style_mixing": 0.0},
}
# ... and how its stage is trained in minutes. Without path lengths and mixing, a motion through its
# styles changes the background more.
DEMO_IMAGE: Mapping[str, Any] = {
    "style_mixing": 0.9,
    "pl_weight": 2.0,
    "pl_interval": 8,
    "augment": "none",
    "r1_gamma": 0.1,
    "ema_kclips": 3.0,
}
DEMO_STAGES: Mapping[str, Any] = {"image": {"kclips": 50.0}}


@dataclass(frozen=True)
class ImageOptions:
    """How the stage `image` is trained; see the options of `stylegan2-frames`.

    Attributes:
        mapping_layers: Layers of the mapping network.
        channel_base_d: `channel_base` of the discriminator; 0 for the same as the generator's.
        mbstd_group_size: Images per group of the minibatch standard deviation.
        lr_g: Adam's learning rate of the generator.
        lr_d: Adam's learning rate of the discriminator.
        r1_gamma: Weight of the gradient penalty R1.
        pl_weight: Weight of the path length penalty.
        pl_interval: Steps between two of its steps.
        style_mixing: Share of images whose last layers have the styles of another latent.
        augment: What the discriminator sees: `none`, `fixed` or `ada`.
        ada_kclips: Thousands of images in which the probability can go from 0 to 1.
        ema_kclips: Half-life of the averaged generator in thousands of images.
        flip: Whether half of the images are mirrored.
        balance_videos: Whether each video is as frequent as any other, instead of each frame.
        use_noise: Whether noise is added after each convolution, as most published image GANs
            have it. It stays where it is while what is shown moves.
    """

    mapping_layers: int = 8
    channel_base_d: int = 0
    mbstd_group_size: int = 8
    lr_g: float = 0.0025
    lr_d: float = 0.0025
    r1_gamma: float = 1.0
    pl_weight: float = 2.0
    pl_interval: int = 4
    style_mixing: float = 0.9
    augment: str = "ada"
    ada_kclips: float = 500.0
    ema_kclips: float = 20.0
    flip: bool = False
    balance_videos: bool = False
    use_noise: bool = False

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        try:
            MODELS.get(_IMAGE_MODEL)(**vars(self))
        except UsageError as error:
            raise UsageError(str(error).replace("model.", "model.image.", 1)) from error


def image_stage(config: ModelConfig, options: ImageOptions) -> Stage:
    """Returns the stage `image`.

    Args:
        config: The options of the model that declares the stage; it has the same widths.
        options: How it is trained.

    Raises:
        UsageError: If a width is not accepted.
    """
    widths = {name: getattr(config, name) for name in WIDTHS}
    own = MODELS.get(_IMAGE_MODEL)(**vars(options), **widths)
    return Stage("image", _IMAGE_MODEL, own)
