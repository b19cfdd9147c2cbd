"""What every `FeatureExtractor` keeps to, so that a number is that of its clips alone."""

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor

from vgbench.errors import DataError
from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.testing.contract import Tell, examine, ignore, require

_SIDE = 32
_ROUNDING = 1e-4  # relative to the largest feature


class _Loaded:
    """An extractor loaded twice, and clips that suit it."""

    def __init__(self, load: Callable[[], FeatureExtractor], frames: int) -> None:
        self.one, self.other = (load().for_frames(_SIDE, _SIDE) for _ in range(2))
        draw = torch.Generator().manual_seed(0)
        shape = (4, frames, _SIDE, _SIDE, 3)
        self.clips: UInt8[Tensor, "b t h w 3"] = torch.randint(
            256, shape, generator=draw, dtype=torch.uint8
        )


def check_extractor(
    load: Callable[[], FeatureExtractor], frames: int = 16, tell: Tell = ignore
) -> None:
    """Examines a feature extractor on clips of noise, 32x32.

    Args:
        load: Loads it, e.g. `MyFeatures.load`; called twice.
        frames: Frames per clip.
        tell: Called with each finding as soon as it is made.

    Raises:
        ContractError: If it breaks a promise; names all that it breaks.
        WeightsError: If its weights are not installed.
    """
    subject = _Loaded(load, frames)
    examine(CHECKS, subject, getattr(subject.one, "name", "the extractor"), tell)


def it_says_what_it_is(subject: _Loaded) -> None:
    """It has a name, a length, the name of its preparation, and the identity of its weights."""
    for name, kind in (("name", str), ("dim", int), ("preprocess_id", str), ("version", int)):
        require(isinstance(getattr(subject.one, name), kind), f"{name} is not {kind.__name__}")
    weights, other = subject.one.weights, subject.other.weights
    require(weights == other, "loaded again it has other weights")
    has_hash = weights.identity in ("handcrafted", "random") or len(weights.sha256) == 64
    require(has_hash, "weights that were read need their SHA-256")


def features_are_vectors(subject: _Loaded) -> None:
    """Features are finite float32 `(B, dim)`, without gradient."""
    features = subject.one(subject.clips)
    shape = (len(subject.clips), subject.one.dim)
    require(features.shape == shape, f"the shape is {tuple(features.shape)}, not {shape}")
    require(features.dtype == torch.float32, f"the type is {features.dtype}")
    require(not features.requires_grad, "they require a gradient")
    require(bool(features.isfinite().all()), "some are not finite")


def it_is_frozen(subject: _Loaded) -> None:
    """It is in evaluation mode, and loading again gives the same features."""
    require(not any(m.training for m in subject.one.modules()), "some layer is in training mode")
    first, second = subject.one(subject.clips), subject.other(subject.clips)
    require(torch.equal(first, second), "loaded again it gives others")
    require(torch.equal(first, subject.one(subject.clips)), "asked again it gives others")


def clips_do_not_mix(subject: _Loaded) -> None:
    """The features of a clip do not depend on the other clips of the batch or on their order."""
    together = subject.one(subject.clips)
    alone = torch.cat([subject.one(subject.clips[i : i + 1]) for i in range(len(subject.clips))])
    gap = float((together - alone).abs().max() / together.abs().max().clamp_min(1e-12))
    require(gap <= _ROUNDING, f"alone and together they differ by {gap:g} of the largest")
    require(len(torch.unique(together, dim=0)) == len(together), "unlike clips have the same ones")


def clips_are_left_alone(subject: _Loaded) -> None:
    """It changes neither its clips nor the state of torch's global generator."""
    clips, state = subject.clips.clone(), torch.random.get_rng_state()
    subject.one(clips)
    require(torch.equal(clips, subject.clips), "the clips have changed")
    require(torch.equal(state, torch.random.get_rng_state()), "the state has changed")


def floats_are_refused(subject: _Loaded) -> None:
    """Anything but uint8 clips of three colours is refused with DataError."""
    wrong = (subject.clips.float(), subject.clips[..., :1], subject.clips[0])
    for clips in wrong:
        try:
            subject.one(clips)
        except (DataError, TypeError):  # the latter is a type checker's, where one is on
            continue
        require(False, f"{clips.dtype} {tuple(clips.shape)} was accepted; see check_clips")


CHECKS = (
    it_says_what_it_is,
    features_are_vectors,
    it_is_frozen,
    clips_do_not_mix,
    clips_are_left_alone,
    floats_are_refused,
)
