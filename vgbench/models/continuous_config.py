"""Options of video GANs that render any moment of a video by itself; importing imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from vgbench.models.style_config import StyleGANConfig
from vgbench.nn.motion_options import DISTANCES, MotionConfig
from vgbench.nn.stylegan2.options import FrameFusion
from vgbench.sampling import SamplingPolicy, Spans, Sparse, UniformSparse
from vgbench.types import SampleRequest

SAMPLINGS = ("random", "uniform")
MERGES = ("concat", "mean")
SPANS = ("dyadic", "uniform")

# How fast the motion is, by data set: `model.preset=sky_timelapse`.
PACES: Mapping[str, Mapping[str, Any]] = {
    name: {"motion": {"distance": distance}} for name, distance in DISTANCES.items()
}

# For 32x32 and 64x64 on a CPU.
TINY: Mapping[str, Any] = {
    "z_dim": 64,
    "w_dim": 64,
    "channel_base": 1024,
    "channel_max": 64,
    "motion": {"z_dim": 64, "v_dim": 64, "frequencies": 32, "max_period": 256},
}


@dataclass(frozen=True)
class ContinuousConfig(StyleGANConfig):
    """Options that StyleGAN-V and StyleSV share.

    Attributes:
        motion: Options of the motion encoder, e.g. `model.motion.distance=256`.
        frames: Frames of a training clip.
        sampling: `random`: first and last frame a random span apart, the others anywhere between;
            `uniform`: evenly spaced frames.
        max_dist: Longest span of a clip, or with `uniform` the widest spacing, in frames.
        spans: Which spans occur with `random`: `dyadic` (1, 2, 4, ...) or `uniform` (all).
        window: Frames of a video that its clips are from; of a longer one, a random window.
        merge: How the discriminator joins frames: `concat`, channels side by side, each frame
            having fewer; or `mean`.
        merge_resolution: Resolution of the maps at which it does.
        merge_divisor: By how much `concat` cuts the channels of a frame.
        temporal_shift: Whether frames exchange channels in each block before that (TSM).
        freeze_d: Layers of the discriminator, counted from the image, that are not trained.
        interp_p: Share of generated training clips whose content drifts towards another one.
        interp_frames: Frames that a whole such change would take.
        update_averages: Whether the generator's running means follow training: the mean style, to
            which truncation leads, and the magnitudes by which alias-free layers are normalised.
    """

    motion: MotionConfig = field(default_factory=MotionConfig)
    frames: int = 3
    sampling: str = "random"
    max_dist: int = 32
    spans: str = "dyadic"
    window: int = 1024
    merge: str = "concat"
    merge_resolution: int = 16
    merge_divisor: int = 2
    temporal_shift: bool = False
    freeze_d: int = 0
    interp_p: float = 0.0
    interp_frames: int = 256
    update_averages: bool = True

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        super().__post_init__()
        for name in ("frames", "max_dist", "merge_divisor", "interp_frames"):
            self.require(name, getattr(self, name) >= 1, "expected an integer >= 1")
        self.require("freeze_d", self.freeze_d >= 0, "expected an integer >= 0")
        self.require("window", self.window >= 2, "expected an integer >= 2")
        self.require("interp_p", 0 <= self.interp_p <= 1, "expected a float in [0, 1]")
        for name, accepted in (("sampling", SAMPLINGS), ("spans", SPANS), ("merge", MERGES)):
            listed = f"expected one of {', '.join(accepted)}"
            self.require(name, getattr(self, name) in accepted, listed)
        alone = self.temporal_shift and self.frames == 1
        self.require("temporal_shift", not alone, "a frame has no neighbours; expected false")
        _ = self.clips.min_frames

    @property
    def clips(self) -> SampleRequest:
        """How training clips are drawn from videos."""
        policy: SamplingPolicy
        if self.sampling == "uniform":
            policy = UniformSparse(self.frames, self.max_dist, self.window)
        else:
            policy = Sparse(self.frames, self.max_dist, cast(Spans, self.spans), self.window)
        return SampleRequest(policy, flip=self.flip)

    @property
    def frame_fusion(self) -> FrameFusion:
        """How the discriminator looks at the frames of a clip together."""
        return FrameFusion(
            frames=self.frames,
            resolution=self.merge_resolution,
            merge=cast(Literal["concat", "mean"], self.merge),
            divisor=self.merge_divisor,
            temporal_shift=self.temporal_shift,
            max_frames=self.window,
            uniform=self.sampling == "uniform",
        )
