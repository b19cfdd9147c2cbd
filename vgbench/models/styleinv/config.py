"""Options of StyleInV; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from vgbench.errors import UsageError
from vgbench.models.image_stage_config import DEMO_IMAGE, DEMO_STAGES, TINY, ImageOptions
from vgbench.models.inverter_config import (
    InversionLossOptions,
    InverterOptions,
    inversion_stages,
)
from vgbench.models.style_config import StyleGANConfig
from vgbench.models.styleinv.options import (
    PRESETS,
    DiscriminatorOptions,
    EncoderOptions,
    LossOptions,
    MotionOptions,
    SparseOptions,
    StyleOptions,
)
from vgbench.types import SampleRequest, Stage


@dataclass(frozen=True)
class StyleInVConfig(StyleGANConfig):
    """Options of StyleInV; the defaults are those of the paper's face videos at 256x256.

    Source: "StyleInV: A Temporal Style Modulated Inversion Network for Unconditional Video
    Generation" (ICCV 2023); johannwyh/StyleInV `configs/dfuf.yaml`, `train_styleinv.py`.
    Deviates: one image generator without noise throughout, where the reference draws the first
    image with new noise and the frames with constant noise; sparse frames start at whole frames,
    see `SparseOptions`; `r1_gamma` is 4, since it weighs the mean over 4 frames.

    Attributes:
        image: How the image GAN is trained: the stage `image`.
        inversion: Weights of the losses of its inversion: the stage `inversion`. As in the
            reference they have no `latent_reg`, except in the budget `demo`.
        inversion_lr: Learning rate of that stage.
        encoder: The network that is trained, e.g. `model.encoder.modulation=modconv`.
        motion: Motion codes, e.g. `model.motion.distance=128` for slow scenes.
        style: Temporal styles.
        sparse: The frames that the discriminator sees.
        disc: The discriminator, e.g. `model.disc.kind=ffc`.
        loss: Weights of the losses.
    """

    mbstd_group_size: int = 8
    flip: bool = True
    lr_g: float = 0.0001
    lr_d: float = 0.002
    r1_gamma: float = 4.0
    augment: str = "ada"
    image: ImageOptions = field(default_factory=ImageOptions)
    inversion: InversionLossOptions = field(
        default_factory=lambda: InversionLossOptions(latent_reg=0.0)
    )
    inversion_lr: float = 0.0001
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    motion: MotionOptions = field(default_factory=MotionOptions)
    style: StyleOptions = field(default_factory=StyleOptions)
    sparse: SparseOptions = field(default_factory=SparseOptions)
    disc: DiscriminatorOptions = field(default_factory=DiscriminatorOptions)
    loss: LossOptions = field(default_factory=LossOptions)

    target: ClassVar[str] = "vgbench.models.styleinv.module:StyleInV"
    summary: ClassVar[str] = "videos as inversions of their first frame (ICCV 2023)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **PRESETS,
        # For 32x32 and 64x64 on a CPU.
        "tiny": {
            **PRESETS["tiny"],
            **TINY,
            "mbstd_group_size": 4,
        },
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                "preset": "tiny",
                "image": DEMO_IMAGE,
                "inversion": {"latent_reg": 1.0},
                "inversion_lr": 0.001,
                "flip": False,
                "lr_g": 0.001,
                "r1_gamma": 1.0,
                "augment": "none",
                "ema_kclips": 3.0,
                "style": {"lr_mult": 1.0},
                "disc": {"kind": "digan"},
                # All directions, small at first: training starts from an image that stands still,
                # where the encoder of the stage would jump from image to image.
                "encoder": {"pca": 64},
                # More of it and nothing moves, less and backgrounds change.
                "loss": {"w_reg": 0.15},
                # Shapes change direction within a few frames. With a kernel of 1, control points
                # differ between videos from the first on.
                "motion": {"distance": 4, "kernel": 1, "min_period": 8, "max_period": 64},
                "sparse": {"clip": 32, "max_dist": 16},
            },
            "stages": DEMO_STAGES,
            "budget": {"batch_size": 8, "kclips": 18.0},
        },
        "short": {
            "model": {
                "channel_base": 8192,
                "channel_max": 256,
                "ema_kclips": 5.0,
                "image": {"ema_kclips": 5.0},
            },
            "budget": {"batch_size": 16, "kclips": 200.0},
        },
        # 25 million frames, four of each video.
        "paper": {"budget": {"batch_size": 32, "kclips": 6250.0}},
    }

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        super().__post_init__()
        self.require("c_dim", self.c_dim == 0, "there are no classes; expected 0")
        self.require("inversion_lr", self.inversion_lr > 0, "expected a float > 0")
        wide = self.encoder.kind != "none" or self.style.dim == self.w_dim
        if not wide:
            raise UsageError(
                f"model.style.dim={self.style.dim}: with model.encoder.kind=none temporal styles "
                f"are added to styles; expected model.w_dim={self.w_dim}"
            )
        if self.encoder.pca > self.w_dim:
            raise UsageError(
                f"model.encoder.pca={self.encoder.pca}: styles have {self.w_dim} directions; "
                f"expected at most model.w_dim={self.w_dim}"
            )
        _ = self.disc.fusion(self.sparse), self.stages()  # they check their options

    @property
    def clips(self) -> SampleRequest:
        """How training clips are drawn from videos."""
        return SampleRequest(self.sparse.policy, flip=self.flip)

    def stages(self) -> tuple[Stage, ...]:
        """Returns the image GAN and its inversion."""
        encoder = InverterOptions("w", self.encoder.base_width, self.encoder.units)
        return inversion_stages(
            self, self.image, encoder, self.inversion, lr=self.inversion_lr, flip=self.flip
        )
