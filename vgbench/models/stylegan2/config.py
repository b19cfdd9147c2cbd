"""Options of StyleGAN2 on frames; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vgbench.models.style_config import FRAMES_BUDGETS, IMAGE_PROTOCOLS, FramesConfig


@dataclass(frozen=True)
class StyleGAN2FramesConfig(FramesConfig):
    """Options of StyleGAN2; the defaults are those for 256x256 frames of videos.

    Source: StyleGAN2 (CVPR 2020); StyleInV (ICCV 2023), first stage, `paper256`.

    Attributes:
        use_noise: Whether noise is added after each convolution. It is pinned to pixels: a video
            model that moves through the styles of this network is better off without.
    """

    mbstd_group_size: int = 8
    pl_weight: float = 2.0
    pl_interval: int = 4
    augment: str = "ada"
    style_mixing: float = 0.9
    use_noise: bool = True

    target: ClassVar[str] = "vgbench.models.stylegan2.module:StyleGAN2Frames"
    summary: ClassVar[str] = "images by StyleGAN2, trained on frames (CVPR 2020)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        # For 32x32 and 64x64 on a CPU.
        "tiny": {
            "z_dim": 64,
            "w_dim": 64,
            "mapping_layers": 2,
            "channel_base": 1024,
            "channel_max": 64,
            "mbstd_group_size": 4,
            "use_noise": False,
            "style_mixing": 0.0,
        },
        "paper": {},
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                "preset": "tiny",
                "pl_weight": 0.0,
                "pl_interval": 0,
                "augment": "none",
                "r1_gamma": 0.1,
                "ema_kclips": 0.5,
            },
            "protocol": IMAGE_PROTOCOLS["demo"],
            "budget": {"batch_size": 16, "kclips": 20.0},
        },
        **FRAMES_BUDGETS,
    }
