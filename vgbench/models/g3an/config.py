"""Options of G3AN; importing this module does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vgbench.errors import UsageError
from vgbench.sampling import Contiguous
from vgbench.types import ModelConfig, SampleRequest, VideoSpec

MODES = ("1p2d", "2p1d", "3d")
VIDEO_DISCRIMINATORS = ("1p2d", "3d")
FSA_LAYOUTS = ("fixed", "reference")
SIZES = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class G3ANConfig(ModelConfig):
    """Options of G3AN; the defaults are the paper's model.

    Source: "G3AN: Disentangling Appearance and Motion for Video Generation" (CVPR 2020);
    wyhsirius/g3an-project `cfg.py`, `train.py`.
    Deviates: `fsa_layout=fixed`, where the published code mixes the axes of the attended tensor;
    attention is on, as in the paper, where the published command leaves it off.

    Attributes:
        channels: Width unit of all networks; the widest layers have eight times as many.
        appearance_dim: Size of the appearance code, one per video.
        motion_dim: Size of the motion code, one per motion step.
        frames: Frames of a training clip; a multiple of 4, at least 16.
        strides: Frame steps of training clips, one drawn per clip.
        mode: How the video stream is up-sampled: time then space, space then time, or both at
            once (`1p2d`, `2p1d`, `3d`).
        use_s_stream: Whether there is a spatial (appearance) stream.
        use_t_stream: Whether there is a temporal (motion) stream.
        use_attention: Whether there is factorised self-attention (F-SA).
        fsa_after_block: Block that F-SA follows; block 4 has 32x32 maps at every resolution.
        fsa_layout: `fixed`, or `reference` for the scrambled axes of the published code, which
            its checkpoints need.
        d_v: Video discriminator: factorised (`1p2d`) or plain 3-D convolutions (`3d`).
        image_channels: Width unit of the image discriminator; 0 for `channels`.
        image_frames: Frames of each clip that the image discriminator sees.
        lr_g: Learning rate of the generator.
        lr_d: Learning rate of both discriminators.
        beta1: Adam's decay of the first moment.
        beta2: Adam's decay of the second moment.
        ema_kclips: Half-life of the averaged generator in thousands of clips; 0 for none.
    """

    channels: int = 64
    appearance_dim: int = 128
    motion_dim: int = 10
    frames: int = 16
    strides: tuple[int, ...] = (1,)
    mode: str = "1p2d"
    use_s_stream: bool = True
    use_t_stream: bool = True
    use_attention: bool = True
    fsa_after_block: int = 4
    fsa_layout: str = "fixed"
    d_v: str = "1p2d"
    image_channels: int = 0
    image_frames: int = 1
    lr_g: float = 2e-4
    lr_d: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    ema_kclips: float = 0.0

    target: ClassVar[str] = "vgbench.models.g3an.module:G3AN"
    summary: ClassVar[str] = "three streams for appearance, motion and video (CVPR 2020)"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # For minutes on a CPU. Without momentum and with a short second moment the discriminators
        # start to tell real from fake after about 150 steps instead of after 500; F-SA would cost
        # more than all the rest at this size; small batches make more of the same minutes. So few
        # channels leave the image discriminator blind: it gets more, and more frames to look at.
        "demo": {
            "model": {
                "channels": 8,
                "use_attention": False,
                "image_channels": 16,
                "image_frames": 4,
                "lr_g": 8e-4,
                "lr_d": 8e-4,
                "beta1": 0.0,
                "beta2": 0.9,
                "ema_kclips": 0.6,
            },
            "budget": {"batch_size": 8, "kclips": 12.0},
        },
        "short": {
            "model": {"channels": 32},
            "budget": {"batch_size": 32, "kclips": 100.0},
        },
        # 5001 epochs of about 12 batches of 96 clips on UvA-NEMO, frame step drawn from 2 and 3.
        "paper": {
            "model": {"strides": [2, 3]},
            "budget": {"batch_size": 96, "kclips": 5761.0},
        },
    }

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        object.__setattr__(self, "strides", tuple(self.strides))
        for name in ("channels", "appearance_dim", "motion_dim", "fsa_after_block"):
            _require(self, name, getattr(self, name) >= 1, "expected an integer >= 1")
        _require(self, "mode", self.mode in MODES, _one_of(MODES))
        _require(self, "d_v", self.d_v in VIDEO_DISCRIMINATORS, _one_of(VIDEO_DISCRIMINATORS))
        _require(self, "fsa_layout", self.fsa_layout in FSA_LAYOUTS, _one_of(FSA_LAYOUTS))
        whole = self.frames >= 16 and self.frames % 4 == 0
        _require(self, "frames", whole, "expected 16, 20, 24, ... (a motion step is 4 frames)")
        _require(self, "image_channels", self.image_channels >= 0, "expected an integer >= 0")
        some = 1 <= self.image_frames <= self.frames
        _require(self, "image_frames", some, f"expected 1 to {self.frames}, the frames of a clip")
        steps = bool(self.strides) and min(self.strides) >= 1
        _require(self, "strides", steps, "expected frame steps >= 1, e.g. model.strides=[2,3]")
        for name in ("lr_g", "lr_d"):
            _require(self, name, getattr(self, name) > 0, "expected a float > 0, e.g. 2e-4")
        for name in ("beta1", "beta2"):
            _require(self, name, 0 <= getattr(self, name) < 1, "expected a float in [0, 1)")
        _require(self, "ema_kclips", self.ema_kclips >= 0, "expected a float >= 0 (0: no EMA)")

    @property
    def clips(self) -> SampleRequest:
        """How training clips are drawn from videos."""
        return SampleRequest(Contiguous(self.frames, self.strides))

    def widths(self, spec: VideoSpec) -> list[int]:
        """Returns the channels of each generator block; their maps are 4, 8, 16, ... pixels wide.

        At 64x64 they are (8, 8, 4, 2, 1) times `channels`. Smaller resolutions leave out the last
        blocks, larger ones start with more blocks of eight times `channels`.

        Raises:
            UsageError: If there are no networks for the resolution, or no map for F-SA.
        """
        if spec.height != spec.width or spec.height not in SIZES:
            raise UsageError(
                f"g3an has no networks for {spec.height}x{spec.width} videos; "
                f"it has for square ones of {', '.join(map(str, SIZES))} pixels"
            )
        blocks = SIZES.index(spec.height) + 3
        factors = [8] * max(0, blocks - 5) + [8, 8, 4, 2, 1][:blocks]
        widths = [self.channels * factor for factor in factors]
        if self.use_attention:
            self._check_attention(widths)
        return widths

    def _check_attention(self, widths: list[int]) -> None:
        blocks = len(widths)
        if self.fsa_after_block > blocks:
            raise UsageError(
                f"model.fsa_after_block={self.fsa_after_block}: this resolution has {blocks} "
                f"blocks; expected 1..{blocks}, or model.use_attention=false"
            )
        if widths[self.fsa_after_block - 1] * (1 + self.use_s_stream) < 8:
            raise UsageError(
                f"model.channels={self.channels}: F-SA after block {self.fsa_after_block} needs a "
                "map of 8 channels or more; expected more, or model.use_attention=false"
            )


def _one_of(names: tuple[str, ...]) -> str:
    return f"expected one of {', '.join(names)}"


def _require(config: G3ANConfig, name: str, accepted: bool, expected: str) -> None:
    if not accepted:
        raise UsageError(f"model.{name}={getattr(config, name)}: {expected}")
