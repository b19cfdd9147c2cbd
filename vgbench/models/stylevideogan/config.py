"""Options of StyleVideoGAN; importing this module does not import torch."""

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
from vgbench.models.stylevideogan.options import (
    CriticOptions,
    GeneratorOptions,
    IdentityOptions,
    OffsetOptions,
    TrainingOptions,
)
from vgbench.sampling import Contiguous
from vgbench.types import ModelConfig, SampleRequest, Stage

BACKENDS = ("inversion", "identity")


@dataclass(frozen=True)
class StyleVideoGANConfig(ModelConfig):
    """Options of StyleVideoGAN; the defaults are the paper's where it says.

    Source: "StyleVideoGAN: A Temporal Generative Model using a Pretrained StyleGAN" (BMVC 2021);
    the parts of the model name what is not from it.

    Attributes:
        backend: What makes pictures of latents and latents of pictures: `inversion`, an image GAN
            and its encoder, trained before as the stages `image` and `inversion`; `identity`, a
            fixed projection, with which the motion can be studied alone.
        generator: The recurrent generator, e.g. `model.generator.layers=4`.
        critic: The critic, e.g. `model.critic.embed_widths=[64]`.
        training: The losses and optimisers, e.g. `model.training.angle_weight=0`.
        identity: The backend `identity`.
        offset: The offset trick.
        z_dim: Numbers per latent of the image GAN.
        w_dim: Numbers per style vector.
        channel_base: Channels times resolution of the image GAN's widest maps.
        channel_max: Most channels of any of its maps.
        image: How the image GAN is trained: the stage `image`.
        encoder: The encoder of the stage `inversion`.
        inversion: Weights of its losses.
        inversion_lr: Its learning rate.
        videos: Videos that are encoded and learned from, at most; 0 for all. The paper's data are
            ten minutes of one subject.
        truncation_psi: Share of the distance to the mean latent that samples keep; 1 for all.
        report_kclips: Clips, in thousands, between two reports on the motion; 0 for none.
    """

    backend: str = "inversion"
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    critic: CriticOptions = field(default_factory=CriticOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    identity: IdentityOptions = field(default_factory=IdentityOptions)
    offset: OffsetOptions = field(default_factory=OffsetOptions)
    z_dim: int = 512
    w_dim: int = 512
    channel_base: int = 16384
    channel_max: int = 512
    image: ImageOptions = field(default_factory=ImageOptions)
    encoder: InverterOptions = field(default_factory=lambda: InverterOptions("wplus"))
    inversion: InversionLossOptions = field(default_factory=InversionLossOptions)
    inversion_lr: float = 0.0001
    videos: int = 0
    truncation_psi: float = 1.0
    report_kclips: float = 100.0

    target: ClassVar[str] = "vgbench.models.stylevideogan.module:StyleVideoGAN"
    summary: ClassVar[str] = "motion as a recurrent walk through an image GAN's latents (BMVC 2021)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # For 32x32 and 64x64 on a CPU.
        "tiny": {
            **TINY,
            "encoder": {"base_width": 16, "units": (1, 1, 1, 1)},
            "critic": {"embed_widths": (64,)},
        },
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {
            "model": {
                "preset": "tiny",
                "image": DEMO_IMAGE,
                "inversion_lr": 0.001,
                "training": {"critic_steps": 2, "lr": 1e-3, "ema_kclips": 4.0},
                "videos": 2000,
                "report_kclips": 16.0,
            },
            "stages": DEMO_STAGES,
            "budget": {
                "batch_size": 32,
                "kclips": 96.0,
                "checkpoint_kclips": 24.0,
                "sample_kclips": 24.0,
            },
        },
        "short": {
            "model": {
                "channel_base": 8192,
                "channel_max": 256,
                "image": {"ema_kclips": 5.0},
                "critic": {"embed_widths": [1024, 256]},
            },
            "budget": {"batch_size": 32, "kclips": 1600.0},
        },
        # 100 000 steps of the generator, each after 5 of the critic.
        "paper": {"budget": {"batch_size": 32, "kclips": 16000.0}},
    }

    def __post_init__(self) -> None:
        """Checks every option of its own.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        known = f"expected one of {', '.join(BACKENDS)}"
        self._require("backend", self.backend in BACKENDS, known)
        self._require("videos", self.videos >= 0, "expected an integer >= 0 (0: all)")
        self._require("truncation_psi", self.truncation_psi >= 0, "expected a float >= 0")
        self._require("report_kclips", self.report_kclips >= 0, "expected a float >= 0 (0: none)")
        self._require("inversion_lr", self.inversion_lr > 0, "expected a float > 0")
        self.stages()  # checks the options of the image GAN and of its inversion

    def stages(self) -> tuple[Stage, ...]:
        """Returns the image GAN and its inversion, if the latents are theirs."""
        if self.backend == "identity":
            return ()
        return inversion_stages(
            self, self.image, self.encoder, self.inversion, lr=self.inversion_lr, flip=False
        )

    @property
    def clips(self) -> SampleRequest:
        """How training clips are drawn from videos."""
        return SampleRequest(Contiguous(self.training.frames), videos=self.videos)

    def _require(self, name: str, accepted: bool, expected: str) -> None:
        if not accepted:
            raise UsageError(f"model.{name}={getattr(self, name)}: {expected}")
