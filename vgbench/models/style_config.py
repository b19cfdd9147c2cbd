"""Options that all models of the StyleGAN family share; importing this does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vgbench.errors import UsageError
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.types import ModelConfig, VideoSpec

AUGMENTATIONS = ("none", "fixed", "ada")

# By which protocols of single frames image models are measured, as values of the group `protocol`.
IMAGE_PROTOCOLS: Mapping[str, Mapping[str, Any]] = {
    "demo": {"names": ["hed1/demo@1", "hfd1/demo@1"], "watched": "hed1/demo"},
    "paper": {"watched": "hed1"},
}
# Budgets of image models beside `demo`.
FRAMES_BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "short": {
        "model": {"channel_base": 8192, "channel_max": 256, "ema_kclips": 5.0},
        "protocol": IMAGE_PROTOCOLS["paper"],
        "budget": {"batch_size": 32, "kclips": 500.0},
    },
    "paper": {
        "model": {"preset": "paper"},
        "protocol": IMAGE_PROTOCOLS["paper"],
        "budget": {"batch_size": 64, "kclips": 25000.0},
    },
}


@dataclass(frozen=True)
class StyleGANConfig(ModelConfig):
    """Options of networks, losses and optimisers; a method adds its own and changes defaults.

    Clips are counted where the references count images.

    Attributes:
        z_dim: Numbers per latent.
        w_dim: Numbers per style.
        c_dim: Classes of the data, given to both networks; 0 for none.
        channel_base: Channels times resolution of the widest maps; see `channel_max`.
        channel_max: Most channels of any map.
        channel_base_d: `channel_base` of the discriminator; 0 for the same as the generator's.
        mbstd_group_size: Clips per group of the minibatch standard deviation.
        flip: Whether half of the training clips are mirrored.
        lr_g: Adam's learning rate of the generator.
        lr_d: Adam's learning rate of the discriminator.
        beta1: Adam's decay of the first moment.
        beta2: Adam's decay of the second moment.
        r1_gamma: Weight of the gradient penalty R1, a mean over the frames of a clip; 0 for none.
        r1_interval: Steps between two of its steps; Adam of the discriminator is corrected for it.
        pl_weight: Weight of the path length penalty; 0 for none.
        pl_interval: Steps between two of its steps; Adam of the generator is corrected for it, also
            where the weight is 0, as in references that keep the interval; 0 for no correction.
        ema_kclips: Half-life of the averaged generator in thousands of clips; 0 for none.
        ema_rampup: Early on, the half-life is at most this share of the clips seen; 0: no ramp-up.
        augment: What the discriminator sees: the clips (`none`), or clips transformed with a
            probability that is constant (`fixed`) or follows its overfitting (`ada`).
        augment_strength: That probability, or the one that `ada` starts with.
        ada_target: Mean sign of the logits of real clips that `ada` aims at.
        ada_interval: Steps between two of its changes.
        ada_kclips: Thousands of clips in which the probability can go from 0 to 1.
    """

    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0
    channel_base: int = 16384
    channel_max: int = 512
    channel_base_d: int = 0
    mbstd_group_size: int = 4
    flip: bool = False
    lr_g: float = 0.0025
    lr_d: float = 0.0025
    beta1: float = 0.0
    beta2: float = 0.99
    r1_gamma: float = 1.0
    r1_interval: int = 16
    pl_weight: float = 0.0
    pl_interval: int = 0
    ema_kclips: float = 20.0
    ema_rampup: float = 0.0
    augment: str = "none"
    augment_strength: float = 0.0
    ada_target: float = 0.6
    ada_interval: int = 4
    ada_kclips: float = 500.0

    def __post_init__(self) -> None:
        """Checks every option that all models have; a subclass calls this and checks its own.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        for name in ("z_dim", "w_dim", "channel_base", "channel_max", "mbstd_group_size"):
            self.require(name, getattr(self, name) >= 1, "expected an integer >= 1")
        for name in ("r1_interval", "ada_interval"):
            self.require(name, getattr(self, name) >= 1, "expected an integer >= 1")
        for name in ("channel_base_d", "c_dim", "pl_interval"):
            self.require(name, getattr(self, name) >= 0, "expected an integer >= 0")
        for name in ("lr_g", "lr_d", "ada_kclips"):
            self.require(name, getattr(self, name) > 0, "expected a float > 0")
        for name in ("r1_gamma", "pl_weight", "ema_kclips", "ema_rampup"):
            self.require(name, getattr(self, name) >= 0, "expected a float >= 0 (0: none)")
        for name in ("beta1", "beta2"):
            self.require(name, 0 <= getattr(self, name) < 1, "expected a float in [0, 1)")
        for name in ("augment_strength", "ada_target"):
            self.require(name, 0 <= getattr(self, name) <= 1, "expected a float in [0, 1]")
        known = f"expected one of {', '.join(AUGMENTATIONS)}"
        self.require("augment", self.augment in AUGMENTATIONS, known)
        due = not self.pl_weight or self.pl_interval >= 1
        self.require("pl_interval", due, f"expected steps >= 1 as pl_weight={self.pl_weight:g}")

    def pyramid(self, spec: VideoSpec) -> Pyramid:
        """Returns resolution and widths of a StyleGAN2 generator of square videos.

        Raises:
            UsageError: If there are no networks for their resolution.
        """
        return Pyramid(spec.height, spec.channels, self.channel_base, self.channel_max)

    def pyramid_d(self, spec: VideoSpec) -> Pyramid:
        """Returns resolution and widths of the discriminator; see `pyramid`."""
        base = self.channel_base_d or self.channel_base
        return replace(self.pyramid(spec), channel_base=base)

    def require(self, name: str, accepted: bool, expected: str) -> None:
        """Raises `UsageError` naming an option and its value unless it is accepted."""
        if not accepted:
            raise UsageError(f"model.{name}={getattr(self, name)}: {expected}")


@dataclass(frozen=True)
class FramesConfig(StyleGANConfig):
    """Options of image GANs that are trained on single frames of videos.

    Attributes:
        mapping_layers: Layers of the mapping network.
        style_mixing: Share of images whose last layers have the styles of another latent.
        balance_videos: Whether each video is as frequent as any other, instead of each frame.
    """

    mapping_layers: int = 8
    style_mixing: float = 0.0
    balance_videos: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("mapping_layers", self.mapping_layers >= 1, "expected an integer >= 1")
        self.require("style_mixing", 0 <= self.style_mixing <= 1, "expected a float in [0, 1]")
