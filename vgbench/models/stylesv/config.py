"""Options of StyleSV; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from vgbench.models.continuous_config import PACES, TINY, ContinuousConfig
from vgbench.models.style_config import AUGMENTATIONS, StyleGANConfig
from vgbench.models.stylesv.options import MotionFusion
from vgbench.nn.stylegan3.options import LayerSchedule, config_r
from vgbench.registry import MODELS
from vgbench.types import Stage, VideoSpec

LAYERS = ("T", "R")
_IMAGE_MODEL = "stylegan3-frames"
# Layers of the mapping network, also of the image stage's.
MAPPING_LAYERS = 2

_TINY: Mapping[str, Any] = {**TINY, "num_layers": 6}


@dataclass(frozen=True)
class StyleSVConfig(ContinuousConfig):
    """Options of StyleSV; the defaults are the paper's model at 256x256 with a smooth motion.

    Source: "Towards Smooth Video Composition" (StyleSV, ICLR 2023); genforce/StyleSV `scripts`.
    Deviates: the motion is a B-spline whose waves have neither kinks nor a speed that grows with
    time, where the released scripts interpolate linearly and its B-splines have either; running
    means are updated. `model.preset=release` is the released script for YouTube Driving.

    Attributes:
        layers: `T`, equivariant to translation, or `R`, to rotation as well.
        num_layers: Layers of the generator before its colours.
        margin: Samples around the image on each side of all maps but the last.
        fusion: Where motion enters the generator, e.g. `model.fusion.low_rank=8`.
        pretrain: Whether training starts from an image GAN of the same layers, trained on single
            frames: the stage `image`.
        pretrain_r1_gamma: Its weight of the gradient penalty R1.
        pretrain_augment: Its augmentation.
        pretrain_ada_kclips: Its `ada_kclips`.
    """

    lr_d: float = 0.002
    r1_gamma: float = 8.0
    merge: str = "mean"
    temporal_shift: bool = True
    layers: str = "T"
    num_layers: int = 14
    margin: int = 10
    fusion: MotionFusion = field(default_factory=MotionFusion)
    pretrain: bool = True
    pretrain_r1_gamma: float = 0.5
    pretrain_augment: str = "ada"
    pretrain_ada_kclips: float = 100.0

    target: ClassVar[str] = "vgbench.models.stylesv.module:StyleSV"
    summary: ClassVar[str] = "smooth and long videos from an alias-free generator (ICLR 2023)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": _TINY,
        "release": {
            "motion": {"curve": "linear", "distance": 256},
            "fusion": {"reference_compat": True},
            "update_averages": False,
        },
        **PACES,
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                **_TINY,
                # The generator is where the time goes, the discriminator what learning lacks: half
                # the channels and a narrow margin for the one, twice the channels for the other.
                "channel_base": 512,
                "channel_base_d": 1024,
                "num_layers": 5,
                "margin": 2,
                "lr_g": 0.005,
                "lr_d": 0.003,
                "r1_gamma": 1.0,
                "pretrain_r1_gamma": 0.1,
                "pretrain_augment": "none",
                "ema_kclips": 2.0,
            },
            "stages": {"image": {"kclips": 6.0}},
            "budget": {"batch_size": 8, "kclips": 15.0},
        },
        "short": {
            "model": {
                "channel_base": 8192,
                "channel_max": 256,
                "num_layers": 10,
                "r1_gamma": 0.5,
                "pretrain_r1_gamma": 0.1,
                "ema_kclips": 5.0,
            },
            "budget": {"batch_size": 32, "kclips": 500.0},
        },
        # 25 million frames, after as many of the image stage.
        "paper": {"budget": {"batch_size": 64, "kclips": 8333.0}},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("layers", self.layers in LAYERS, f"expected one of {', '.join(LAYERS)}")
        self.require("num_layers", self.num_layers >= 3, "expected an integer >= 3")
        self.require("margin", self.margin >= 0, "expected an integer >= 0")
        gamma = self.pretrain_r1_gamma >= 0
        self.require("pretrain_r1_gamma", gamma, "expected a float >= 0 (0: none)")
        known = f"expected one of {', '.join(AUGMENTATIONS)}"
        self.require("pretrain_augment", self.pretrain_augment in AUGMENTATIONS, known)
        kclips = self.pretrain_ada_kclips > 0
        self.require("pretrain_ada_kclips", kclips, "expected a float > 0")

    def schedule(self, spec: VideoSpec) -> LayerSchedule:
        """Returns the sizes and frequencies of the generator's layers.

        Raises:
            UsageError: If there are no networks for the resolution.
        """
        widths = (self.channel_base, self.channel_max, self.num_layers)
        schedule = LayerSchedule(spec.height, spec.channels, *widths, margin=self.margin)
        return config_r(schedule) if self.layers == "R" else schedule

    def stages(self) -> tuple[Stage, ...]:
        """Returns the image GAN that is trained first, if one is."""
        if not self.pretrain:
            return ()
        shared = {option.name: getattr(self, option.name) for option in fields(StyleGANConfig)}
        shared |= {
            "r1_gamma": self.pretrain_r1_gamma,
            "augment": self.pretrain_augment,
            "ada_kclips": self.pretrain_ada_kclips,
            "mapping_layers": MAPPING_LAYERS,
            "layers": self.layers,
            "num_layers": self.num_layers,
            "margin": self.margin,
        }
        return (Stage("image", _IMAGE_MODEL, MODELS.get(_IMAGE_MODEL)(**shared)),)
