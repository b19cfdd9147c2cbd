"""What an evaluation compares: real videos and generated ones, whatever they are given as."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vgbench import __version__
from vgbench.data.arrays import ArraySource
from vgbench.data.cache import open_cache
from vgbench.data.config import MANIFEST, cache_config
from vgbench.data.eval_clips import Order, eval_clips, eval_videos, image_clips
from vgbench.data.sources import VideoFolderSource, VideoSource, open_dataset
from vgbench.errors import UsageError
from vgbench.metrics.clip_rules import cut_clip, fake_numbers, to_pixels
from vgbench.metrics.clip_set import Clip, ClipSet
from vgbench.metrics.evaluator import BatchSize
from vgbench.metrics.protocol import EvalProtocol, SampleCounts
from vgbench.models.base import ReconstructingGAN, VideoGAN
from vgbench.models.bounded import InvertingGAN
from vgbench.models.checkpoint import file_sha256, find_checkpoint, load_model
from vgbench.models.identity import changed_options, configuration_sha256
from vgbench.nn.noise import seeded_generator
from vgbench.registry import DATASETS
from vgbench.sampling import EvalClips
from vgbench.video import to_model_range

# First item and step.
Part: TypeAlias = tuple[int, int]
Video: TypeAlias = UInt8[np.ndarray, "t h w 3"] | UInt8[Tensor, "t h w 3"]
Videos: TypeAlias = np.ndarray | Tensor  # uint8 (N, T, H, W, 3), checked with a message
Real: TypeAlias = VideoSource | Videos | str | Path
Fake: TypeAlias = "VideoGAN | VideoSource | Videos | Callable[[int], Video] | str | Path"
# From (protocol, number of videos, first, step) to the clips of videos first, first + step, ...
ReadVideos: TypeAlias = Callable[[EvalProtocol, int, int, int], Iterator[Clip]]
# Clips, and frames of each, by which a row's note says how true a model's reconstructions are.
_REMARKED, _REMARKED_FRAMES = 16, 16
# Choices of real clips in which a video may come again.
_ORDERS: Mapping[str, Order] = {"random-videos": "random", "cycle-videos": "cycle"}


@dataclass(frozen=True)
class Subject:
    """What is evaluated: generated videos by number, and where they come from.

    Attributes:
        name: Model name of the rows.
        read: The clips that a protocol takes of them, in the order of their numbers.
        identity: What decides the videos, or empty where that is not known.
        checkpoint_sha256: Hash of the checkpoint, or empty.
        clips_seen: Training clips behind it, or None.
        seed_train: Seed of its training, or None.
        config: JSON object of the training options that are not the method's defaults.
        config_sha256: Hash of all that decides a training but its seed, or empty.
        available: Videos there are, or None for any number.
        max_frames: Frames of the longest of them, or None where there is no limit.
        selection: How the checkpoint was chosen.
        notes: For the rows.
        ceiling: The clips of the best videos that it could draw, where that is known.
    """

    name: str
    read: ReadVideos
    identity: str = ""
    checkpoint_sha256: str = ""
    clips_seen: int | None = None
    seed_train: int | None = None
    config: str = ""
    config_sha256: str = ""
    available: int | None = None
    max_frames: int | None = None
    selection: str = "none"
    notes: tuple[str, ...] = ()
    ceiling: ReadVideos | None = None

    @property
    def best(self) -> "Subject | None":
        """What it could be at best, as a subject of its own."""
        if self.ceiling is None:
            return None
        identity = f"{self.identity} ceiling" if self.identity else ""
        return replace(self, read=self.ceiling, identity=identity, max_frames=None, ceiling=None)


def open_real(real: Real) -> VideoSource:
    """Returns the videos that `real` names; see `evaluate`."""
    if isinstance(real, (np.ndarray, Tensor)):
        return ArraySource(real)
    if not isinstance(real, (str, Path)):
        return real
    if str(real) in DATASETS:
        return open_dataset(DATASETS.get(str(real))())
    folder = Path(real)
    if (folder / MANIFEST).is_file():
        return open_cache(cache_config(folder), "train")
    return VideoFolderSource(folder)


def real_set(source: VideoSource, plans: Mapping[str, SampleCounts], *, draw: int) -> ClipSet:
    """Returns the real clips of all protocols.

    Args:
        source: The real videos.
        plans: How many clips of a trial each protocol takes, by protocol id.
        draw: 0, or 1 for the second set of the floor.
    """

    def read(protocol: EvalProtocol, first: int, step: int) -> Iterator[Clip]:
        n = plans[protocol.id].n_real
        return real_clips(source, protocol, n=n, draw=draw, part=(first, step))

    @cache
    def videos(protocol: EvalProtocol) -> list[int]:
        return _real_videos(source, protocol, n=plans[protocol.id].n_real, draw=draw)

    def video_of(protocol: EvalProtocol, item: int) -> int:
        if protocol.real_clips not in _ORDERS:
            return item
        # A cycle through single frames takes the videos in the same order every time.
        is_cycle = protocol.frames == 1 and protocol.real_clips == "cycle-videos"
        return item % len(source) if is_cycle else videos(protocol)[item]

    def size(protocol: EvalProtocol) -> int:
        return plans[protocol.id].n_real * protocol.trials

    return ClipSet(read, f"videos {source.fingerprint} draw {draw}", video_of, size)


def real_clips(
    source: VideoSource, protocol: EvalProtocol, *, n: int, draw: int, part: Part
) -> Iterator[UInt8[Tensor, "t h w 3"]]:
    """Yields the real clips that a protocol takes, one trial after the other.

    Args:
        source: The real videos.
        protocol: Which clips of them.
        n: Clips of one trial.
        draw: 0, or 1 for the second set of the floor.
        part: First clip and step: with (r, W) process r of W takes the clips r, r + W, ...
    """
    first, step = part
    for trial in range(protocol.trials):
        own = replace(protocol, seed=protocol.seed + trial)
        start = trial * n
        here = max(first, start + (first - start) % step) - start
        yield from _real_trial(source, own, draw * protocol.trials + trial, (here, step))


def _real_trial(
    source: VideoSource, protocol: EvalProtocol, draw: int, part: Part
) -> Iterator[UInt8[Tensor, "t h w 3"]]:
    seed, limit, order = protocol.seed, protocol.n_real, protocol.real_order
    if protocol.frames == 1 and protocol.real_clips in ("all-frames", "cycle-videos"):
        every = protocol.real_clips == "all-frames"
        return image_clips(
            source, n=limit, every_frame=every, order=order, seed=seed, draw=draw, shard=part
        )
    return eval_clips(
        source,
        _policy(protocol),
        n=len(source) if limit is None else limit,
        order=_ORDERS.get(protocol.real_clips, order),
        seed=seed,
        draw=draw,
        shard=part,
    )


def _real_videos(source: VideoSource, protocol: EvalProtocol, *, n: int, draw: int) -> list[int]:
    """Returns the video of each clip of `real_clips` where a video may come again."""
    found = []
    for trial in range(protocol.trials):
        found += eval_videos(
            source,
            _policy(protocol),
            n=n,
            order=_ORDERS[protocol.real_clips],
            seed=protocol.seed + trial,
            draw=draw * protocol.trials + trial,
        )
    return found


def _policy(protocol: EvalProtocol) -> EvalClips:
    return EvalClips(
        protocol.frames,
        protocol.stride,
        "centre" if protocol.real_start == "centre" else "uniform",
        protocol.min_length,
    )


def open_subject(
    fake: object, seed: int, device: str, batch_size: BatchSize, real: VideoSource
) -> Subject:
    """Returns what `fake` names as something to be evaluated; see `evaluate`.

    Args:
        fake: The model, checkpoint, videos or function.
        seed: Seed of the generated videos.
        device: Where a checkpoint is loaded to.
        batch_size: Videos at a time.
        real: The real videos: a model that reconstructs is given other clips of them than those
            that it is compared with, so that a perfect one scores the floor.

    Raises:
        UsageError: If it is none of the things that can be evaluated.
    """
    if isinstance(fake, VideoGAN):
        return _of_model(fake, seed, batch_size, real)
    if isinstance(fake, (str, Path)):
        path = Path(fake)
        if path.suffix == ".ckpt" or (path / "checkpoints").is_dir() or not path.exists():
            return _of_checkpoint(path, seed, device, batch_size, real)
        decoded = ("decoded from video files",)
        return replace(_of_source(VideoFolderSource(path), seed), notes=decoded)
    if isinstance(fake, (np.ndarray, Tensor)):
        return _of_source(ArraySource(fake), seed)
    if isinstance(fake, VideoSource):
        return _of_source(fake, seed)
    if not callable(fake):
        raise UsageError(
            f"cannot evaluate a {type(fake).__name__}; give a model, a checkpoint, videos as a "
            "folder, source or uint8 array, or a function from a number to uint8 (T, H, W, 3)"
        )
    return _of_function(fake, seed)


def _of_checkpoint(
    path: Path, seed: int, device: str, batch_size: BatchSize, real: VideoSource
) -> Subject:
    file = find_checkpoint(path)
    model = load_model(file, device)
    subject = _of_model(model, seed, batch_size, real)
    sha256 = file_sha256(file)
    # Another version may sample otherwise from the same weights.
    identity = f"checkpoint {sha256} vgbench {__version__}"
    if isinstance(model, (ReconstructingGAN, InvertingGAN)):
        identity += f" of {real.fingerprint}"
    return replace(subject, checkpoint_sha256=sha256, identity=identity)


def _samples(model: VideoGAN, seed: int, batch_size: BatchSize) -> ReadVideos:
    def read(protocol: EvalProtocol, n: int, first: int, step: int) -> Iterator[Clip]:
        # All videos have one length, so that a video does not depend on where its clip starts.
        length = max(model.clips.frames, protocol.fake_span)
        numbers = range(first, n, step)
        size, done = 16 if batch_size == "auto" else batch_size, 0
        while done < len(numbers):
            batch = numbers[done : done + size]
            generators = [seeded_generator(seed, "eval", i) for i in batch]
            try:
                videos = to_pixels(model.sample(len(batch), length, generators), protocol).cpu()
            except torch.OutOfMemoryError:
                if batch_size != "auto" or size == 1:
                    raise
                size //= 2
                continue
            done += len(batch)
            for video, i in zip(videos, batch, strict=True):
                yield cut_clip(video, protocol, seed=seed, number=i)

    return read


def _reconstructions(
    model: VideoGAN, real: VideoSource, seed: int, batch_size: BatchSize
) -> ReadVideos:
    """The clips that a model makes of real ones; of the set by which the floor is measured."""
    assert isinstance(model, (ReconstructingGAN, InvertingGAN))
    size = 16 if batch_size == "auto" else batch_size

    def read(protocol: EvalProtocol, n: int, first: int, step: int) -> Iterator[Clip]:
        clips = _others(real, protocol.fake_span, n, protocol.seed, (first, step))
        number = first
        while batch := list(islice(clips, size)):
            video = to_model_range(torch.stack(batch)).to(model.device)
            for rebuilt in to_pixels(model.reconstruct(video), protocol).cpu():
                yield cut_clip(rebuilt, protocol, seed=seed, number=number)
                number += step

    return read


def _others(
    real: VideoSource, frames: int, n: int, seed: int, part: Part = (0, 1)
) -> Iterator[UInt8[Tensor, "t h w 3"]]:
    policy = EvalClips(frames, 1, "uniform", "span")
    return eval_clips(real, policy, n=n, order="cycle", seed=seed, draw=1, shard=part)


def _remarks(model: ReconstructingGAN, real: VideoSource) -> tuple[str, ...]:
    longest = max(real.meta(i).n_frames for i in range(len(real)))
    clips = list(_others(real, min(_REMARKED_FRAMES, longest), _REMARKED, seed=0))
    return model.remarks(to_model_range(torch.stack(clips)).to(model.device))


def _of_model(model: VideoGAN, seed: int, batch_size: BatchSize, real: VideoSource) -> Subject:
    name = str(model.provenance.get("model", type(model).__name__))
    selection = str(model.provenance.get("selection", "none"))
    stages = model.provenance.get("stages", {})
    notes = (
        *_training_notes(model.provenance | {"remark": model.config.remark()}),
        *(_stage_note(stage, about) for stage, about in stages.items()),
    )
    subject = Subject(
        name,
        _samples(model, seed, batch_size),
        clips_seen=model.clips_seen,
        seed_train=model.seed,
        config=json.dumps(changed_options(model.config)),
        config_sha256=configuration_sha256(model),
        max_frames=model.max_frames,
        selection=selection,
        notes=notes,
    )
    if isinstance(model, InvertingGAN):
        return replace(subject, ceiling=_reconstructions(model, real, seed, batch_size))
    if not isinstance(model, ReconstructingGAN):
        return subject
    rebuilt = _reconstructions(model, real, seed, batch_size)
    return replace(subject, read=rebuilt, max_frames=None, notes=notes + _remarks(model, real))


def _training_notes(about: Mapping[str, Any]) -> tuple[str, ...]:
    """What rows say of a training: its losses, and the weights behind them."""
    weights = about.get("weights", {}).items()
    used = tuple(f"{name} {ref['identity']} {ref['sha256'][:8]}" for name, ref in weights)
    remark = about.get("remark", "")
    return ((remark,) if remark else ()) + used


def _stage_note(stage: str, about: Mapping[str, Any]) -> str:
    text = f"stage {stage} from {about.get('artefact', about['sha256'][:12])}"
    notes = ", ".join(_training_notes(about))
    return f"{text} ({notes})" if notes else text


def _of_function(function: Callable[[int], Video], seed: int) -> Subject:
    def read(protocol: EvalProtocol, n: int, first: int, step: int) -> Iterator[Clip]:
        for i in range(first, n, step):
            yield cut_clip(torch.as_tensor(function(i)), protocol, seed=seed, number=i)

    return Subject(getattr(function, "__name__", "function").strip("<>"), read)


def _of_source(source: VideoSource, seed: int) -> Subject:
    def read(protocol: EvalProtocol, n: int, first: int, step: int) -> Iterator[Clip]:
        numbers = fake_numbers(protocol, n, len(source), seed=seed).tolist()
        for i in numbers[first::step]:
            meta = source.meta(i)
            frames = torch.from_numpy(source.read(i, np.arange(meta.n_frames)))
            yield cut_clip(frames, protocol, seed=seed, number=i)

    return Subject(source.name, read, f"videos {source.fingerprint}", available=len(source))


def fake_set(subject: Subject, plans: Mapping[str, SampleCounts], seed: int) -> ClipSet:
    """Returns the clips of generated videos that the protocols take.

    Args:
        subject: The generated videos.
        plans: How many clips of a trial each protocol takes, by protocol id.
        seed: Seed of the generated videos.
    """

    def wanted(protocol: EvalProtocol) -> int:
        return videos_needed(protocol, plans[protocol.id].n_fake)

    def size(protocol: EvalProtocol) -> int:
        limited = subject.available is not None and protocol.fake_reuse == "never"
        return min(wanted(protocol), subject.available or 0) if limited else wanted(protocol)

    def read(protocol: EvalProtocol, first: int, step: int) -> Iterator[Clip]:
        return subject.read(protocol, wanted(protocol), first, step)

    def video_of(protocol: EvalProtocol, item: int) -> int:
        if subject.available is None:
            return item
        numbers = fake_numbers(protocol, wanted(protocol), subject.available, seed=seed)
        return int(numbers[item])

    identity = f"{subject.identity} seed {seed}" if subject.identity else ""
    return ClipSet(read, identity, video_of, size)


def videos_needed(protocol: EvalProtocol, n_fake: int) -> int:
    """Returns how many generated videos give `n_fake` samples in every trial."""
    return -(-n_fake * protocol.trials // protocol.frames_per_fake_video)
