"""Options of StyleGAN-V; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from vgbench.models.continuous_config import PACES, TINY, ContinuousConfig
from vgbench.nn.motion_options import MotionConfig

CONDITIONINGS = ("concat_const", "concat_w", "sum_w")


@dataclass(frozen=True)
class StyleGANVConfig(ContinuousConfig):
    """Options of StyleGAN-V; the defaults are the paper's model at 256x256.

    Source: "StyleGAN-V: A Continuous Video Generator with the Price, Image Quality and Perks of
    StyleGAN2" (CVPR 2022); universome/stylegan-v `configs`, `src/train.py`.
    Deviates: `r1_gamma` is the value that the reference's rule `0.0002 * resolution^2 / batch`
    gives for the paper's size; it does not follow the size.

    Attributes:
        conditioning: Where motion enters the generator: `concat_const`, as further channels of the
            constant that images start from; `concat_w`, appended to every style; `sum_w`, added
            to every style.
        use_noise: Whether noise, the same in every frame, is added after each convolution.
    """

    motion: MotionConfig = field(default_factory=lambda: MotionConfig(curve="linear"))
    conditioning: str = "concat_const"
    use_noise: bool = False
    flip: bool = True
    r1_gamma: float = 0.2048
    pl_interval: int = 4
    augment: str = "ada"
    ada_kclips: float = 100.0

    target: ClassVar[str] = "vgbench.models.stylegan_v.module:StyleGANV"
    summary: ClassVar[str] = "continuous-time StyleGAN2 with acyclic motion codes (CVPR 2022)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": TINY, **PACES}
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                **TINY,
                "flip": False,
                "r1_gamma": 1.0,
                "augment": "none",
                "ema_kclips": 0.5,
            },
            "budget": {"batch_size": 8, "kclips": 30.0},
        },
        "short": {
            "model": {
                "channel_base": 8192,
                "channel_max": 256,
                "r1_gamma": 0.05,
                "ema_kclips": 5.0,
            },
            "budget": {"batch_size": 32, "kclips": 500.0},
        },
        # 25 million frames.
        "paper": {"budget": {"batch_size": 64, "kclips": 8333.0}},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        listed = f"expected one of {', '.join(CONDITIONINGS)}"
        self.require("conditioning", self.conditioning in CONDITIONINGS, listed)
        summed = self.conditioning != "sum_w" or self.w_dim == self.motion.dim
        wide = f"sum_w needs styles as wide as motion codes, {self.motion.dim}; or use concat_w"
        self.require("w_dim", summed, wide)
