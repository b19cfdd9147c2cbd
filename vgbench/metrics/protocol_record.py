"""The record of an evaluation protocol; standard library only.

A protocol fixes everything that moves a number: which clips are taken, what the network sees and
how features become a number. Any other setting is another protocol with another hash.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

from vgbench.registry import Registry

StatisticName = Literal[
    "frechet",
    "frechet-infinity",
    "energy",
    "mmd-poly3",
    "mmd-poly3-subsets",
    "mmd-poly2-v",
    "mmd-rational-quadratic",
    "precision",
    "recall",
    "density",
    "coverage",
]
_CLIP_FIELDS = (
    "frames",
    "stride",
    "n_real",
    "n_fake",
    "trials",
    "real_clips",
    "real_order",
    "real_start",
    "fake_start",
    "min_length",
    "frames_per_fake_video",
    "fake_reuse",
    "fake_uint8",
    "fake_codec",
    "mirror",
    "split",
    "seed",
)


@dataclass(frozen=True)
class EvalProtocol:
    """One complete way to turn clips into a number.

    Attributes:
        metric: `fvd16`, `fid`, `hed16`, ...; letters name the metric, digits its frames.
        variant: Whose rules: `vgbench`, `styleganv`, `digan`, ..., or `demo` (small sets, minutes
            on a CPU).
        version: Raised whenever a rule changes.
        statistic: How two sets of features become a number; `vgbench.metrics.statistics` has them.
        extractor: Name of the feature extractor.
        preprocess: Its resizing and scaling. For video networks `styleganv` (whole frame to
            224x224, bilinear, half-pixel centres, no antialias), `tf1-224` (likewise, without
            half-pixel centres), `short-side-224+centre-crop` (aspect preserved, long side rounded
            up, 224x224 cut from the centre); all scaled by `2x/255 - 1`. For images `tf1` (299x299
            without half-pixel centres, `(x - 128) / 128`). `kinetics-112`: whole frame to 112x112,
            mean colour subtracted. `yuv601`: no resizing.
        bn_eps: Constant in the batch normalisation of the network; None where there is none.
        frames: Frames per clip.
        stride: Frame step.
        n_real: Most real clips; None takes all.
        n_fake: Most generated clips; None takes as many as there are real ones.
        trials: Sets of real and generated clips; the number is the mean over them.
        real_clips: `one-per-video`: one clip of each of the first `n_real` videos;
            `random-videos`: a random clip of a random video, `n_real` times; `all-frames`: every
            frame; `cycle-videos`: one frame per video, again and again.
        real_order: Which videos are the first: by `path`, or `shuffled` with the protocol's seed.
        real_start: `uniform`: over all valid starts, keyed by (seed, video); `centre`: as many
            frames before as after the clip; `all`: every frame.
        fake_start: `zero`: frame 0; `uniform`: anywhere in the length the model was trained on;
            `centre`: its middle.
        min_length: Videos dropped as too short: shorter than `frames * stride` or than the clip's
            span `(frames - 1) * stride + 1`.
        frames_per_fake_video: Samples taken from one generated video.
        fake_reuse: What if there are fewer generated videos than `n_fake`: take what there is
            (`never`), or draw from them `with-replacement`.
        fake_uint8: Rule from [-1, 1] to pixels: `floor`, `clamp(floor(127.5x + 128), 0, 255)`, or
            `truncate`, `floor(127.5 (x + 1))`, up to one level darker.
        fake_codec: `none`, or `h264`: generated clips pass a lossy encoder first.
        ddof: 1 divides scatter by n - 1, 0 by n.
        square_root: `exact`: singular values of the product of factors; `svd-1e-10`: roots of
            covariances, whose singular values below 1e-10 are left as they are.
        arithmetic: Number format of the moments and of everything after them.
        mirror: Whether clips are also mirrored.
        split: `trained-on`: the videos the model was trained on.
        normalise: `none`; `reference`: features are z-scored by the real set and squashed;
            `z-score`: only z-scored by it.
        neighbours: Neighbours that set the radius of a manifold; None where there is none.
        null_splits: Re-splits of the permutation null printed with the number; 0 for none.
        min_clips: Fewer clips on a side refuse the metric's name.
        seed: Key of all random choices.
    """

    metric: str
    variant: str
    statistic: StatisticName
    extractor: str
    preprocess: str
    frames: int
    stride: int = 1
    bn_eps: float | None = None
    n_real: int | None = 2048
    n_fake: int | None = None
    trials: int = 1
    real_clips: Literal["one-per-video", "random-videos", "all-frames", "cycle-videos"] = (
        "one-per-video"
    )
    real_order: Literal["path", "shuffled"] = "path"
    real_start: Literal["uniform", "centre", "all"] = "uniform"
    fake_start: Literal["zero", "uniform", "centre"] = "uniform"
    min_length: Literal["frames*stride", "span"] = "frames*stride"
    frames_per_fake_video: int = 1
    fake_reuse: Literal["never", "with-replacement"] = "never"
    fake_uint8: Literal["floor", "truncate"] = "floor"
    fake_codec: Literal["none", "h264"] = "none"
    ddof: int = 1
    square_root: Literal["exact", "svd-1e-10"] = "exact"
    arithmetic: Literal["float64", "float32"] = "float64"
    mirror: bool = False
    split: Literal["trained-on"] = "trained-on"
    normalise: Literal["none", "reference", "z-score"] = "none"
    neighbours: int | None = None
    null_splits: int = 0
    min_clips: int = 64
    seed: int = 0
    version: int = 1

    @property
    def name(self) -> str:
        """`metric/variant@version`."""
        return f"{self.metric}/{self.variant}@{self.version}"

    @property
    def id(self) -> str:
        """The name; with a hash appended unless this is exactly the protocol of that name."""
        is_known = self.name in PROTOCOLS and PROTOCOLS.get(self.name) == self
        return self.name if is_known else f"{self.name}+{self.hash[:8]}"

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of all fields as canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def family(self) -> str:
        """The metric without its frames, e.g. `fvd`."""
        return re.split(r"\d", self.metric, maxsplit=1)[0]

    @property
    def clip_settings(self) -> tuple[object, ...]:
        """What two protocols must share to be computed from the same clips."""
        return tuple(getattr(self, name) for name in _CLIP_FIELDS)

    @property
    def higher_is_better(self) -> bool:
        """Direction of the number: distances are to be small, shares to be large."""
        return self.statistic in ("precision", "recall", "density", "coverage")

    @property
    def needs_rows(self) -> bool:
        """Whether the features of every clip are kept, not only their mean and covariance.

        Intervals, nulls and all statistics but one ask for rows; only sets without a limit, which
        may be millions of frames, do without.
        """
        return self.n_real is not None or self.statistic != "frechet"

    @property
    def min_frames(self) -> int:
        """Frames that a real video must have."""
        if self.min_length == "frames*stride":
            return self.frames * self.stride
        return (self.frames - 1) * self.stride + 1

    @property
    def real_total(self) -> int | None:
        """Real clips of all trials; None for all there are."""
        return None if self.n_real is None else self.n_real * self.trials

    @property
    def fake_span(self) -> int:
        """Consecutive frames of a generated video that one item takes."""
        return max((self.frames - 1) * self.stride + 1, self.frames_per_fake_video)


# Installed packages add theirs through the entry-point group `vgbench.protocols`.
PROTOCOLS: Registry[EvalProtocol] = Registry(
    "protocol",
    {},
    lambda found: "" if isinstance(found, EvalProtocol) else f"{found!r} is no EvalProtocol",
)
