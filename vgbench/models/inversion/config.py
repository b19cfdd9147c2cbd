"""Options of the inversion of an image GAN; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from vgbench.errors import UsageError
from vgbench.models.image_stage_config import (
    DEMO_IMAGE,
    DEMO_STAGES,
    TINY,
    ImageOptions,
    image_stage,
)
from vgbench.models.inverter_config import InversionLossOptions, InverterOptions
from vgbench.models.style_config import IMAGE_PROTOCOLS
from vgbench.types import ModelConfig, Stage

# Reconstructions of clips are clips, unlike what the image GAN draws.
_DEMO_PROTOCOLS: Mapping[str, Any] = {
    "names": ["hed1/demo@1", "hfd1/demo@1", "hed16/demo@2"],
    "watched": "hed1/demo",
}


@dataclass(frozen=True)
class InversionConfig(ModelConfig):
    """Options of an encoder from images to the styles that generate them.

    Source: "Encoding in Style" (pSp, CVPR 2021); StyleInV (ICCV 2023), second stage.
    Deviates: Adam in place of Ranger; by default the losses need no networks that were trained
    elsewhere, see `InversionLossOptions`.

    Attributes:
        z_dim: Numbers per latent of the image GAN.
        w_dim: Numbers per style.
        channel_base: Channels times resolution of the image GAN's widest maps.
        channel_max: Most channels of any of its maps.
        image: How the image GAN is trained: the stage `image`.
        encoder: The encoder, e.g. `model.encoder.latent_space=wplus`.
        loss: Weights of the losses.
        lr: Adam's learning rate.
        beta1: Adam's decay of the first moment.
        beta2: Adam's decay of the second moment.
        flip: Whether half of the images are mirrored.
    """

    z_dim: int = 512
    w_dim: int = 512
    channel_base: int = 16384
    channel_max: int = 512
    image: ImageOptions = field(default_factory=ImageOptions)
    encoder: InverterOptions = field(default_factory=InverterOptions)
    loss: InversionLossOptions = field(default_factory=InversionLossOptions)
    lr: float = 0.0001
    beta1: float = 0.9
    beta2: float = 0.999
    flip: bool = True

    target: ClassVar[str] = "vgbench.models.inversion.module:Inversion"
    summary: ClassVar[str] = "encoder of images into the styles of StyleGAN2 (pSp, CVPR 2021)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {
            **TINY,
            "encoder": {"base_width": 16, "units": (1, 1, 1, 1)},
        },
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                "preset": "tiny",
                "image": DEMO_IMAGE,
                "lr": 0.001,
                "flip": False,
            },
            "protocol": _DEMO_PROTOCOLS,
            "stages": DEMO_STAGES,
            "budget": {"batch_size": 16, "kclips": 30.0},
        },
        "short": {
            "model": {"channel_base": 8192, "channel_max": 256, "image": {"ema_kclips": 5.0}},
            "protocol": IMAGE_PROTOCOLS["paper"],
            "budget": {"batch_size": 32, "kclips": 200.0},
        },
        "paper": {
            "protocol": IMAGE_PROTOCOLS["paper"],
            "budget": {"batch_size": 64, "kclips": 4000.0},
        },
    }

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        self._require("lr", self.lr > 0, "expected a float > 0")
        for name in ("beta1", "beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "expected a float in [0, 1)")
        self.stages()  # checks the options that they share

    def _require(self, name: str, accepted: bool, expected: str) -> None:
        if not accepted:
            raise UsageError(f"model.{name}={getattr(self, name)}: {expected}")

    def stages(self) -> tuple[Stage, ...]:
        """Returns the image GAN that is inverted."""
        return (image_stage(self, self.image),)

    def weights(self) -> tuple[str, ...]:
        """Returns the weights that the perceptual and the identity loss need, if any."""
        return self.loss.networks

    def remark(self) -> str:
        """Returns the losses in use."""
        return f"trained on {self.loss}"
