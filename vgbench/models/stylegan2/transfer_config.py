"""Options of finetuning StyleGAN2 to another style; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from vgbench.models.loss_config import (
    DISCRIMINATOR,
    check_perceptual_net,
    described,
    trained_elsewhere,
)
from vgbench.models.style_config import IMAGE_PROTOCOLS
from vgbench.models.stylegan2.config import StyleGAN2FramesConfig
from vgbench.types import Stage

_IMAGE_MODEL = "stylegan2-frames"


@dataclass(frozen=True)
class StyleTransferConfig(StyleGAN2FramesConfig):
    """Options of finetuning; the other options are those of the image GAN that it starts from.

    Source: StyleInV (ICCV 2023), style transfer; johannwyh/StyleInV `train_stylegan2.py`.
    Deviates: by default the features of the image GAN's own discriminator in place of LPIPS, and
    no loss of identity, as both need networks that were trained elsewhere. The paper's losses are
    `model.perceptual_net=lpips-vgg model.identity=1`.

    Attributes:
        finetune_from: Smallest resolution whose layers are trained; the mapping network and the
            layers below stay as they are, so that styles keep their meaning.
        perceptual: Weight of the difference in look from the image that it made before.
        perceptual_net: To whom: `discriminator`, the image GAN's; or `lpips-alex` or `lpips-vgg`,
            whose weights must be installed.
        identity: Weight of the difference of persons, for faces; 1 in the paper. Above 0 it needs
            the weights `arcface`.
    """

    flip: bool = True
    pl_weight: float = 0.0
    pl_interval: int = 0
    ada_kclips: float = 100.0
    use_noise: bool = False
    finetune_from: int = 64
    perceptual: float = 30.0
    perceptual_net: str = DISCRIMINATOR
    identity: float = 0.0

    target: ClassVar[str] = "vgbench.models.stylegan2.transfer:StyleTransfer"
    summary: ClassVar[str] = "StyleGAN2 finetuned to the style of other images (StyleInV, 2023)"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                "preset": "tiny",
                "flip": False,
                "augment": "none",
                "r1_gamma": 0.1,
                "ema_kclips": 0.5,
                "finetune_from": 16,
            },
            "protocol": IMAGE_PROTOCOLS["demo"],
            "budget": {"batch_size": 16, "kclips": 8.0},
        },
        "short": {
            "model": {"channel_base": 8192, "channel_max": 256, "finetune_from": 32},
            "protocol": IMAGE_PROTOCOLS["paper"],
            "budget": {"batch_size": 32, "kclips": 50.0},
        },
        "paper": {
            "protocol": IMAGE_PROTOCOLS["paper"],
            "budget": {"batch_size": 64, "kclips": 400.0},
        },
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        cut = self.finetune_from
        power = cut >= 4 and not cut & (cut - 1)
        self.require("finetune_from", power, "expected a power of two, at least 4")
        for name in ("perceptual", "identity"):
            self.require(name, getattr(self, name) >= 0, "expected a float >= 0 (0: none)")
        check_perceptual_net(self.perceptual_net)
        self.require("pl_weight", not self.pl_weight, "the layers below are frozen; expected 0")

    def stages(self) -> tuple[Stage, ...]:
        """Returns the image GAN that is finetuned, which must be given."""
        names = [option.name for option in fields(StyleGAN2FramesConfig)]
        image = StyleGAN2FramesConfig(**{name: getattr(self, name) for name in names})
        return (Stage("image", _IMAGE_MODEL, image, given=True),)

    def weights(self) -> tuple[str, ...]:
        """Returns the weights that the perceptual and the identity loss need, if any."""
        return trained_elsewhere(self.perceptual, self.perceptual_net, self.identity)

    @property
    def likeness(self) -> Mapping[str, float]:
        """The losses in use that hold images back, and their weights."""
        weights = {"perceptual": self.perceptual, "identity": self.identity}
        return {name: weight for name, weight in weights.items() if weight}

    def remark(self) -> str:
        """Returns the losses in use."""
        return f"trained on {described({'adversarial': 1.0, **self.likeness}, self.perceptual_net)}"
