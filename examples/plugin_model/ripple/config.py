"""Options of the model and of the data set; they import no torch, so typos are answered at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vgbench.data.config import ProceduralConfig
from vgbench.errors import UsageError
from vgbench.types import ModelConfig


@dataclass(frozen=True)
class RippleConfig(ModelConfig):
    """Options of a small video GAN of 3-D convolutions.

    Attributes:
        z_dim: Size of the latent code.
        channels: Width unit of both networks.
        lr: Adam's learning rate.
        r1_gamma: Weight of the gradient penalty R1.
        ema_kclips: Half-life of the averaged generator in thousands of clips.
    """

    z_dim: int = 32
    channels: int = 16
    lr: float = 1e-3
    r1_gamma: float = 1.0
    ema_kclips: float = 0.5

    target: ClassVar[str] = "ripple.model:Ripple"
    summary: ClassVar[str] = "a small GAN of 3-D convolutions (example plugin)"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {"budget": {"batch_size": 16, "kclips": 12.0}},
    }

    def __post_init__(self) -> None:
        for name in ("z_dim", "channels", "lr"):
            if getattr(self, name) <= 0:
                raise UsageError(f"model.{name}={getattr(self, name)}: expected a positive number")


@dataclass(frozen=True)
class RipplesConfig(ProceduralConfig):
    """Options of waves that run outwards from a point."""

    target: ClassVar[str] = "ripple.ripples:Ripples"
    summary: ClassVar[str] = "waves around a point (example plugin)"
