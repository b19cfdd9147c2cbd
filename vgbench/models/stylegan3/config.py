"""Options of StyleGAN3 on frames; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vgbench.models.style_config import FRAMES_BUDGETS, IMAGE_PROTOCOLS, FramesConfig
from vgbench.nn.stylegan3.options import LayerSchedule, config_r
from vgbench.types import VideoSpec

LAYERS = ("T", "R")


@dataclass(frozen=True)
class StyleGAN3FramesConfig(FramesConfig):
    """Options of StyleGAN3; the defaults are those for 256x256 frames of videos.

    Source: StyleGAN3 (NeurIPS 2021); StyleSV (ICLR 2023), image pretraining, whose generator this
    is without motion.

    Attributes:
        layers: `T`, equivariant to translation, or `R`, to rotation as well: twice the channels of
            the generator, 1x1 convolutions and round filters.
        num_layers: Layers of the generator before its colours.
        margin: Samples around the image on each side of all maps but the last.
    """

    lr_d: float = 0.002
    r1_gamma: float = 0.5
    augment: str = "ada"
    mapping_layers: int = 2
    layers: str = "T"
    num_layers: int = 14
    margin: int = 10

    target: ClassVar[str] = "vgbench.models.stylegan3.module:StyleGAN3Frames"
    summary: ClassVar[str] = "images by alias-free StyleGAN3, trained on frames (NeurIPS 2021)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        # For 32x32 and 64x64 on a CPU.
        "tiny": {
            "z_dim": 64,
            "w_dim": 64,
            "channel_base": 1024,
            "channel_max": 64,
            "num_layers": 6,
            "margin": 4,
        },
        "paper": {},
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                "preset": "tiny",
                "channel_base": 512,
                "num_layers": 5,
                "augment": "none",
                "r1_gamma": 0.1,
                "ema_kclips": 0.5,
            },
            "protocol": IMAGE_PROTOCOLS["demo"],
            "budget": {"batch_size": 16, "kclips": 20.0},
        },
        **FRAMES_BUDGETS,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("layers", self.layers in LAYERS, f"expected one of {', '.join(LAYERS)}")
        self.require("num_layers", self.num_layers >= 3, "expected an integer >= 3")
        self.require("margin", self.margin >= 0, "expected an integer >= 0")

    def schedule(self, spec: VideoSpec) -> LayerSchedule:
        """Returns the sizes and frequencies of the generator's layers.

        Raises:
            UsageError: If there are no networks for the resolution.
        """
        widths = (self.channel_base, self.channel_max, self.num_layers)
        schedule = LayerSchedule(spec.height, spec.channels, *widths, margin=self.margin)
        return config_r(schedule) if self.layers == "R" else schedule
