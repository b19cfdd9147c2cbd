"""Sampling policies: the options of how a clip's frames are chosen; standard library only.

A method asks for one in its `SampleRequest`; `vgbench.data.policies` draws the frames. L is the
length of a video, T the frames of a clip; all bounds are inclusive.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from vgbench.errors import UsageError

Spans = Literal["dyadic", "uniform"]


@dataclass(frozen=True)
class SamplingPolicy(ABC):
    """How the frames of a clip are chosen from a video; `vgbench.data.policies` draws them.

    Class attributes:
        name: The policy's name in messages.
        weight: How often a long video is drawn, unless the request says otherwise.

    Attributes:
        frames: Frames per clip, T.
    """

    name: ClassVar[str] = ""
    weight: ClassVar[str] = "video"

    frames: int = 16

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the policy, the option and the value.
        """
        self._require("frames", self.frames >= 1, "at least 1")

    @property
    @abstractmethod
    def min_frames(self) -> int:
        """Frames of the shortest video that every choice fits into."""

    def __str__(self) -> str:
        options = [(f.name, getattr(self, f.name), f.default) for f in fields(self)[1:]]
        changed = [f", {name}={value}" for name, value, usual in options if value != usual]
        return f"{self.frames} frames, {self.name}{''.join(changed)}"

    def _require(self, option: str, accepted: bool, expected: str) -> None:
        if not accepted:
            value = getattr(self, option)
            raise UsageError(f"policy {self.name}: {option}={value}, expected {expected}")


@dataclass(frozen=True)
class Contiguous(SamplingPolicy):
    """Evenly spaced frames from a random start; `t` counts frames from the first.

    Attributes:
        frames: Frames per clip.
        strides: Frame steps; one is drawn per clip.
        parity: As G3AN's code: a clip takes up T * stride frames instead of (T - 1) * stride + 1.
    """

    name: ClassVar[str] = "contiguous"

    strides: tuple[int, ...] = (1,)
    parity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = bool(self.strides) and min(self.strides) >= 1
        self._require("strides", positive, "steps of at least 1, e.g. (2, 3)")

    @property
    def min_frames(self) -> int:
        """Frames that the longest stride takes up."""
        step = max(self.strides)
        return self.frames * step if self.parity else (self.frames - 1) * step + 1


@dataclass(frozen=True)
class Sparse(SamplingPolicy):
    """First and last frame a random span apart, the others anywhere between; sorted.

    `t` counts frames from the start of the window.

    Source: StyleGAN-V (CVPR 2022) `random_frame_sampling`; also StyleSV.

    Attributes:
        frames: Frames per clip.
        max_dist: Longest span.
        spans: `dyadic` (1, 2, 4, ..., 2048) or `uniform` (every integer), from T - 1 to
            `max_dist` or the length.
        window: Of a longer video, a random window of so many frames is used.
        parity: As the reference: `uniform` spans never reach the maximum.
    """

    name: ClassVar[str] = "sparse"

    frames: int = 3
    max_dist: int = 32
    spans: Spans = "dyadic"
    window: int = 1024
    parity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("spans", self.spans in ("dyadic", "uniform"), "dyadic or uniform")
        fits = self.frames == 1 or self._shortest <= self.max_dist
        self._require("max_dist", fits, f"at least {self._shortest} for {self.frames} frames")
        self._require("window", self.window >= self.min_frames, f"at least {self.min_frames}")

    @property
    def min_frames(self) -> int:
        """Frames that the shortest span takes up."""
        return 1 if self.frames == 1 else self._shortest + 1

    @property
    def _shortest(self) -> int:
        least = self.frames - 1
        if self.spans == "dyadic":
            return 1 << (least - 1).bit_length()
        return least + self.parity


@dataclass(frozen=True)
class UniformSparse(SamplingPolicy):
    """Evenly spaced frames with a random spacing; `t` counts from the start of the window.

    Source: StyleGAN-V (CVPR 2022) `uniform_frame_sampling`.
    Deviates: the reference's list of spacings compares a number with a list and always fails.

    Attributes:
        frames: Frames per clip.
        max_dist: Widest spacing of neighbours.
        window: As in `Sparse`.
        parity: As the reference: spacing at most L // T instead of (L - 1) // (T - 1).
    """

    name: ClassVar[str] = "uniform_sparse"

    frames: int = 3
    max_dist: int = 32
    window: int = 1024
    parity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("max_dist", self.max_dist >= 1, "at least 1")
        self._require("window", self.window >= self.frames, f"at least {self.frames}")

    @property
    def min_frames(self) -> int:
        """As many as are drawn."""
        return self.frames


@dataclass(frozen=True)
class FirstFrameSparse(SamplingPolicy):
    """Frame 0 of a random clip and T - 1 sparse ones from the rest; `t` is in [0, 1] of the clip.

    Source: StyleInV (ICCV 2023) `training/sampling.py`.
    Deviates: no frame occurs twice. The released code draws uniform spans, as its configuration's
    list of them goes unrecognised: `spans="uniform", parity=True`.

    Attributes:
        frames: Frames per clip, frame 0 included.
        max_dist: Longest span of the sparse frames.
        spans: As in `Sparse`.
        clip: Frames of the clip they are taken from.
        parity: As the reference: frame 0 may be drawn again, `uniform` spans never reach the
            maximum.
    """

    name: ClassVar[str] = "first_frame_sparse"

    frames: int = 4
    max_dist: int = 128
    spans: Spans = "dyadic"
    clip: int = 128
    parity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("frames", self.frames >= 2, "at least 2")
        need = self.sparse.min_frames + 1
        self._require("clip", self.clip >= need, f"at least {need} for {self.frames} frames")

    @property
    def sparse(self) -> Sparse:
        """How the frames after frame 0 are drawn."""
        return Sparse(self.frames - 1, self.max_dist, self.spans, parity=self.parity)

    @property
    def min_frames(self) -> int:
        """Frames of the clip."""
        return self.clip


@dataclass(frozen=True)
class BetaPair(SamplingPolicy):
    """Two frames of a random clip, one likely early and one late; `t` is in [0, 1] of the clip.

    They are int(T * Beta(1, 2)) and int(T * Beta(2, 1)), sorted; both may be the same.

    Source: DIGAN (ICLR 2022).

    Attributes:
        frames: Always 2.
        clip: Frames of the clip they are taken from, T.
    """

    name: ClassVar[str] = "beta_pair"

    frames: int = field(default=2, init=False)
    clip: int = 16

    def __post_init__(self) -> None:
        self._require("clip", self.clip >= 2, "at least 2")

    @property
    def min_frames(self) -> int:
        """Frames of the clip."""
        return self.clip


@dataclass(frozen=True)
class Image(SamplingPolicy):
    """One frame, uniform over all frames of all videos; `SampleRequest.weight="video"`: per video.

    Attributes:
        frames: Always 1.
    """

    name: ClassVar[str] = "image"
    weight: ClassVar[str] = "frame"

    frames: int = field(default=1, init=False)

    @property
    def min_frames(self) -> int:
        """One."""
        return 1


@dataclass(frozen=True)
class Spaced(SamplingPolicy):
    """Evenly spaced frames, the spacing drawn from a range that the video bounds.

    `t` counts frames from the first.

    Source: LongVideoGAN (NeurIPS 2022), the low-resolution stage.

    Attributes:
        frames: Frames per clip.
        min_spacing: Narrowest spacing.
        max_spacing: Widest spacing, where the video is long enough.
    """

    name: ClassVar[str] = "spaced"

    min_spacing: int = 1
    max_spacing: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("min_spacing", self.min_spacing >= 1, "at least 1")
        least = self.min_spacing
        self._require("max_spacing", self.max_spacing >= least, f"at least {least}")

    @property
    def min_frames(self) -> int:
        """Frames that the narrowest spacing takes up."""
        return (self.frames - 1) * self.min_spacing + 1


@dataclass(frozen=True)
class EvalClips(SamplingPolicy):
    """The clip that evaluation takes of a real video.

    Attributes:
        frames: Frames per clip.
        stride: Frame step.
        start: `uniform` over all valid starts, `zero`, or `centre` (G3AN).
        min_length: Shortest video: `frames*stride`, the rule of StyleGAN-V, or `span`, the frames
            from the first to the last, (T - 1) * stride + 1.
    """

    name: ClassVar[str] = "eval_clips"

    stride: int = 1
    start: Literal["uniform", "zero", "centre"] = "uniform"
    min_length: Literal["frames*stride", "span"] = "frames*stride"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("stride", self.stride >= 1, "at least 1")
        starts = ("uniform", "zero", "centre")
        self._require("start", self.start in starts, f"one of {', '.join(starts)}")
        rules = ("frames*stride", "span")
        self._require("min_length", self.min_length in rules, " or ".join(rules))

    @property
    def min_frames(self) -> int:
        """Frames by the rule of `min_length`."""
        whole = self.min_length == "frames*stride"
        return self.frames * self.stride if whole else (self.frames - 1) * self.stride + 1
