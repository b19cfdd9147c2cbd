"""Frozen records shared by all parts; standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints

from vgbench.errors import UsageError
from vgbench.sampling import Contiguous, SamplingPolicy

T = TypeVar("T")


@dataclass(frozen=True)
class VideoSpec:
    """The videos a model learns and generates.

    Attributes:
        channels: Colour channels, 3 for RGB.
        height: Rows of pixels.
        width: Columns of pixels.
    """

    channels: int = 3
    height: int = 64
    width: int = 64


@dataclass(frozen=True)
class VideoMeta:
    """What is known of one source video without decoding it.

    Attributes:
        video_id: Name that is unique in its source and stable between machines.
        n_frames: Number of frames that `read` can return.
        height: Rows of pixels.
        width: Columns of pixels.
        fps: Frames per second.
        group: Parent of chunks cut from one film; splits never divide a group.
        label: Class index, or None.
    """

    video_id: str
    n_frames: int
    height: int
    width: int
    fps: float
    group: str = ""
    label: int | None = None


@dataclass(frozen=True)
class SampleRequest:
    """The training clips that a method asks for.

    Attributes:
        policy: How the frames of a clip are chosen.
        flip: Whether each clip is mirrored left to right with probability one half.
        weight: A video is drawn alike (`video`), by its length (`frame`) or by the root of that
            (`sqrt`); None takes the policy's.
        videos: Only so many videos that are long enough are used, the first ones; 0 for all.
    """

    policy: SamplingPolicy = field(default_factory=Contiguous)
    flip: bool = False
    weight: Literal["video", "frame", "sqrt"] | None = None
    videos: int = 0

    def __post_init__(self) -> None:
        if self.weight not in (None, "video", "frame", "sqrt"):
            raise UsageError(f"weight={self.weight}: choose from video, frame, sqrt")

    def __str__(self) -> str:
        weight = f", weight={self.weight}" if self.weight else ""
        videos = f", of {self.videos} videos" if self.videos else ""
        return f"{self.policy}{weight}{', mirrored' if self.flip else ''}{videos}"

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return self.policy.frames

    @property
    def min_frames(self) -> int:
        """Frames of the shortest video that is used."""
        return self.policy.min_frames


@dataclass(frozen=True)
class ModelConfig:
    """Options of one method; a subclass adds its own fields, whose defaults are the method's.

    A subclass lives in a module that does not import torch, so that options are checked before
    torch is loaded. Registering it under `vgbench.models` is all a plugin does.

    A field may itself be a frozen record of options: `model.motion.distance=8`. Values are taken
    in this order, later ones winning: defaults, preset, budget of the method, budget of the data
    set, the user's words. No field may be called `preset` or `init`.

    Class attributes:
        target: `module:attribute` of the LightningModule built from these options.
        budgets: Per budget name (`demo`, `short`, `paper`) the values that this method changes,
            as a nested mapping of config groups, e.g. `{"demo": {"model": {"channels": 16}}}`;
            `preset` among those of `model` names one of `presets`.
        presets: Per preset name the options it changes, e.g. `{"tiny": {"channels": 8}}`; chosen
            by `model.preset=NAME`. The name `default` always stands for no change.
        summary: One line for `vgbench ls models`.
    """

    target: ClassVar[str] = ""
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    summary: ClassVar[str] = ""

    def stages(self) -> tuple["Stage", ...]:
        """Returns the models that are trained before this one, in order; none by default."""
        return ()

    def weights(self) -> tuple[str, ...]:
        """Returns the catalogue's names of the weights that the losses need; none by default.

        The model is a `vgbench.models.guided.Guided` then.
        """
        return ()

    def remark(self) -> str:
        """Returns what rows say of how it is trained, e.g. its losses; empty for nothing."""
        return ""


@dataclass(frozen=True)
class Stage:
    """A model that is trained before another one, e.g. the image GAN of a video GAN.

    Attributes:
        name: The key in `model.init.<name>=PATH` and `stages.<name>.kclips=...`, e.g. `image`.
        model: Registered name of the model, e.g. `stylegan3-frames`.
        config: Its options, derived by the declaring model from its own.
        given: Whether it is never trained for the run: `model.init.<name>` must name a finished
            one, as it learns from other data.
    """

    name: str
    model: str
    config: ModelConfig
    given: bool = False


@dataclass(frozen=True)
class DatasetConfig:
    """Options of one data set; torch-free, registered under `vgbench.datasets`.

    Class attributes:
        target: `module:attribute` of a callable `(config, split) -> VideoSource`.
        budgets: As in `ModelConfig`.
        budget: The budget that this data set implies when the user names none.
        summary: One line for `vgbench ls datasets`.
    """

    target: ClassVar[str] = ""
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    budget: ClassVar[str] = "demo"
    summary: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number and all that the evaluator knows of how it came about.

    Attributes:
        metric: Name that follows the identity of the weights, e.g. `FVD16` or `FD16[i3d:1a2b3c4d]`.
        value: The number.
        ci_lo: Lower end of its 95 % interval over draws of videos, if there is one.
        ci_hi: Upper end.
        floor: The same metric between the second real set and the first: a perfect model's.
        null_mean: Mean of the permutation null, for weight-free cores.
        null_sd: Its standard deviation.
        null_z: (value - null_mean) / null_sd.
        higher_is_better: Direction of the metric.
        protocol_id: `metric/variant@version`.
        protocol_hash: Hash of every field of the protocol.
        feature_net: Name of the extractor.
        feature_net_sha256: Hash of its weights; empty where there are none.
        weights_identity: `official`, `other`, `random` or `handcrafted`.
        preprocess_id: Resizing and scaling of the extractor that ran.
        n_real: Real samples, per trial.
        n_fake: Generated samples, per trial.
        frames: Frames per clip.
        stride: Frame step.
        resolution: `HxW` of the clips.
        ddof: 1 if scatter is divided by n - 1.
        precision: Arithmetic of the extractor.
        device: Where it ran.
        note: Everything that is not standard about the number.
    """

    metric: str
    value: float
    ci_lo: float | None = None
    ci_hi: float | None = None
    floor: float | None = None
    null_mean: float | None = None
    null_sd: float | None = None
    null_z: float | None = None
    higher_is_better: bool = False
    protocol_id: str
    protocol_hash: str
    feature_net: str
    feature_net_sha256: str
    weights_identity: str
    preprocess_id: str
    n_real: int
    n_fake: int
    frames: int
    stride: int
    resolution: str
    ddof: int
    precision: str
    device: str
    note: str = ""


def record(schema: type[T], values: Mapping[str, Any]) -> T:
    """Returns the record of `schema` with `values`, as YAML or a checkpoint holds them.

    Lists become tuples, mappings the nested records that the schema has in their place; an option
    that is not among the values has its default.

    Raises:
        UsageError: If the record refuses a value, or a key is not one of its fields.
    """
    unknown = unknown_options(schema, values)
    if unknown:
        raise UsageError(f"{schema.__name__} has no option {', '.join(unknown)}")
    kinds = get_type_hints(schema)
    return schema(**{name: _field_value(kinds[name], value) for name, value in values.items()})


def unknown_options(schema: type[Any], values: Mapping[str, Any]) -> list[str]:
    """Returns the keys that are no fields of `schema`, nested ones as `motion.speed`; sorted."""
    kinds = get_type_hints(schema)
    own = {option.name for option in fields(schema)}
    unknown = []
    for name, value in values.items():
        if name not in own:
            unknown.append(name)
        elif is_dataclass(kinds[name]) and isinstance(value, Mapping):
            unknown += [f"{name}.{inner}" for inner in unknown_options(kinds[name], value)]
    return sorted(unknown)


def _field_value(kind: Any, value: Any) -> Any:
    if is_dataclass(kind) and isinstance(value, Mapping):
        return record(kind, value)  # type: ignore[arg-type]
    return tuple(_field_value(None, item) for item in value) if isinstance(value, list) else value
