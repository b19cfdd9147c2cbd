"""Options of StyleInV's parts; importing this module does not import torch.

Source: StyleInV (ICCV 2023); johannwyh/StyleInV `configs/`, `training/`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from vgbench.errors import UsageError
from vgbench.nn.encoder.options import BackboneSize, Modulation
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan2.options import FrameFusion
from vgbench.sampling import FirstFrameSparse, SamplingPolicy, Spans, Sparse

ANCHOR_NETS = ("conv", "lstm")
ENCODERS = ("inversion", "none")
MODULATIONS = ("adain", "modconv")
PLACES = ("stage", "unit")
BASES = ("w0", "w_avg")
SPANS = ("dyadic", "uniform")
FIRST_FRAMES = ("image", "generated")
DISCRIMINATORS = ("stylegan-v", "ffc", "digan")
RECON_SPACES = ("image", "w")


# Options of the published models, by data set: `model.preset=sky_timelapse`.
_FACES: Mapping[str, Any] = {"motion": {"distance": 16, "min_period": 16, "max_period": 128}}
_SLOW: Mapping[str, Any] = {
    "motion": {"distance": 128, "min_period": 32, "max_period": 1024},
    "sparse": {"max_dist": 128},
}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {
        "encoder": {"base_width": 16, "units": (1, 1, 1, 1)},
        "motion": {"z_dim": 64, "v_dim": 64, "frequencies": 32},
        "style": {"dim": 128},
    },
    "deeper_forensics": _FACES,
    "ffs": _FACES,
    "sky_timelapse": _SLOW,
    "taichi_hd": {**_SLOW, "loss": {"adversarial": 0.1, "w_reg": 0.0}},
}


class _Group:
    """A group of options, checked with messages that name the group and the option."""

    group: ClassVar[str]

    def _require(self, name: str, accepted: bool, expected: str) -> None:
        if not accepted:
            value = getattr(self, name)
            raise UsageError(f"model.{self.group}.{name}={value}: expected {expected}")

    def _choice(self, name: str, accepted: tuple[str, ...]) -> None:
        self._require(name, getattr(self, name) in accepted, f"one of {', '.join(accepted)}")

    def _positive(self, *names: str) -> None:
        for name in names:
            self._require(name, getattr(self, name) >= 1, "an integer >= 1")


@dataclass(frozen=True)
class FirstFrameMotion(MotionConfig):
    """A motion encoder whose control points depend on earlier noise only.

    The convolutions are padded, so there are as many control points as noise vectors.
    """

    def noise_length(self, last: int | float) -> int:
        """Returns the noise vectors that a video up to time `last`, in frames, needs."""
        return math.ceil(last / self.distance) + 2


@dataclass(frozen=True)
class MotionOptions(_Group):
    """Motion codes: waves that vanish at control points, and a line between these.

    Attributes:
        z_dim: Numbers per noise vector.
        v_dim: Numbers per control point.
        distance: Frames between control points. Within the first of these distances all videos
            move along a line, each along its own: with 128 that is the whole training clip.
        frequencies: Sine waves; a code has twice as many numbers.
        min_period: Shortest period of a wave in frames, before it is modulated.
        max_period: Longest.
        kernel: Size of the two convolutions over control points; a first-frame-aware one sees
            half of it, the past.
        anchor_net: What makes control points of noise: `conv` or `lstm`.
        first_frame_aware: Whether the code at time 0 is learned and the same for all videos, so
            that frame 0 can be the image that the video starts from.
    """

    group: ClassVar[str] = "motion"

    z_dim: int = 512
    v_dim: int = 512
    distance: int = 16
    frequencies: int = 256
    min_period: int = 16
    max_period: int = 128
    kernel: int = 11
    anchor_net: str = "conv"
    first_frame_aware: bool = True

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        self._positive("min_period")
        self._choice("anchor_net", ANCHOR_NETS)
        _ = self.encoder  # checks the rest

    @property
    def encoder(self) -> MotionConfig:
        """Options of the motion encoder."""
        kind = FirstFrameMotion if self.first_frame_aware else MotionConfig
        return kind(
            z_dim=self.z_dim,
            v_dim=self.v_dim,
            distance=self.distance,
            frequencies=self.frequencies,
            min_period=self.min_period,
            max_period=self.max_period,
            kernel=self.kernel,
            trajectory=self.anchor_net,
            curve="linear",
        )


@dataclass(frozen=True)
class StyleOptions(_Group):
    """Temporal styles, a network's output for the video's first style and a motion code.

    Attributes:
        dim: Numbers per temporal style.
        layers: Layers of the network.
        concat_content: Whether it sees the video's first style beside the motion code.
        lr_mult: Factor of its learning rate.
    """

    group: ClassVar[str] = "style"

    dim: int = 512
    layers: int = 2
    concat_content: bool = True
    lr_mult: float = 0.01

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        self._positive("dim", "layers")
        self._require("lr_mult", self.lr_mult > 0, "a float > 0, e.g. 0.01")


@dataclass(frozen=True)
class EncoderOptions(_Group):
    """The network that says which style of the image generator a frame has.

    Attributes:
        kind: `inversion`: an encoder of the first frame that the temporal style modulates;
            `none`: the temporal style itself is added to the video's first style.
        base_width: See `BackboneSize`.
        units: See `BackboneSize`.
        modulation: `adain` or `modconv`, see `Modulation`.
        modulate_after: Each `stage` or each `unit`.
        normalize_adain: See `Modulation.normalize`.
        base: What the output is added to: the video's first style (`w0`), or the generator's mean
            style (`w_avg`), as in the inversion stage.
        pca: Principal directions of the generator's styles that the output is restricted to; 0
            for no restriction.
    """

    group: ClassVar[str] = "encoder"

    kind: str = "inversion"
    base_width: int = 64
    units: tuple[int, ...] = (3, 4, 14, 3)
    modulation: str = "adain"
    modulate_after: str = "stage"
    normalize_adain: bool = True
    base: str = "w0"
    pca: int = 0

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        object.__setattr__(self, "units", tuple(self.units))
        self._choice("kind", ENCODERS)
        self._choice("modulation", MODULATIONS)
        self._choice("modulate_after", PLACES)
        self._choice("base", BASES)
        self._require("pca", self.pca >= 0, "an integer >= 0")
        _ = self.backbone  # checks its sizes

    @property
    def backbone(self) -> BackboneSize:
        """Widths and depths."""
        return BackboneSize(self.base_width, self.units)

    @property
    def modulated(self) -> Modulation:
        """How temporal styles change the maps."""
        kind = cast(Literal["adain", "modconv"], self.modulation)
        after = cast(Literal["stage", "unit"], self.modulate_after)
        return Modulation(kind, after, self.normalize_adain)


@dataclass(frozen=True)
class SparseOptions(_Group):
    """The frames of a video that the discriminator sees.

    Attributes:
        frames: Sparse frames, without frame 0.
        max_dist: Longest span from the first to the last of them.
        span_set: Spans are drawn from 2, 4, 8, ... (`dyadic`) or from all integers (`uniform`).
        clip: Frames of the clip that they lie in.
        include_first: Whether the discriminator sees frame 0 as well.
        first_from: Which frame 0: the `image` that the video starts from, or the `generated` one,
            its inversion.
        fractional_offset: Whether the sparse frames of generated videos start between two frames,
            as in the reference. Real ones cannot, so the discriminator can tell them by time
            alone.
    """

    group: ClassVar[str] = "sparse"

    frames: int = 3
    max_dist: int = 32
    span_set: str = "uniform"
    clip: int = 128
    include_first: bool = True
    first_from: str = "image"
    fractional_offset: bool = False

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        self._positive("frames")
        self._choice("span_set", SPANS)
        self._choice("first_from", FIRST_FRAMES)
        _ = self.policy  # checks the rest

    @property
    def shown(self) -> int:
        """Frames per clip that the discriminator sees."""
        return self.frames + self.include_first

    @property
    def policy(self) -> SamplingPolicy:
        """How real frames are drawn; generated ones have the same times."""
        spans = cast(Spans, self.span_set)
        if not self.include_first:
            return Sparse(self.frames, self.max_dist, spans, window=self.clip)
        return FirstFrameSparse(self.frames + 1, self.max_dist, spans, self.clip)


@dataclass(frozen=True)
class DiscriminatorOptions(_Group):
    """The video discriminator.

    Attributes:
        kind: `stylegan-v`: frames merged at some resolution, a code of their distances; `ffc`:
            the same with frame 0 as a condition; `digan`: an image discriminator of all frames
            and distances side by side.
        merge_resolution: Of the first maps that belong to the clip instead of a frame.
        use_time: Whether `stylegan-v` and `ffc` know the distances.
    """

    group: ClassVar[str] = "disc"

    kind: str = "stylegan-v"
    merge_resolution: int = 16
    use_time: bool = True

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        self._choice("kind", DISCRIMINATORS)

    def fusion(self, sparse: SparseOptions) -> FrameFusion:
        """Returns how the frames of a clip are looked at together.

        Raises:
            UsageError: If frame 0 is to be a condition and is not shown.
        """
        if self.kind == "ffc" and not (sparse.include_first and sparse.shown > 2):
            raise UsageError(
                "model.disc.kind=ffc looks at frame 0 on its own: expected "
                "model.sparse.include_first=true and model.sparse.frames of 2 or more"
            )
        return FrameFusion(
            frames=sparse.shown,
            resolution=self.merge_resolution,
            max_frames=sparse.clip,
            use_time=self.use_time,
        )


@dataclass(frozen=True)
class LossOptions(_Group):
    """Weights of the losses.

    Attributes:
        adversarial: Of the discriminator's verdict.
        recon: Of the squared difference between generated frame 0 and the image; 0 for none.
        recon_space: Whether that is a difference of pixels (`image`) or of styles (`w`).
        w_reg: Of the distance between each frame's style and the first; 0 for none.
    """

    group: ClassVar[str] = "loss"

    adversarial: float = 1.0
    recon: float = 10.0
    recon_space: str = "image"
    w_reg: float = 0.05

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            UsageError: If a value is not accepted.
        """
        for name in ("adversarial", "recon", "w_reg"):
            self._require(name, getattr(self, name) >= 0, "a float >= 0")
        self._choice("recon_space", RECON_SPACES)
