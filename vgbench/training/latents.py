"""Encodes the frames of the training videos before a method's first step that trains on latents."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytorch_lightning as pl
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vgbench.data.clips import ClipDataset
from vgbench.data.latents import LatentFrames, write_latents
from vgbench.locks import exclusive
from vgbench.models.base import VideoGAN
from vgbench.nn.encoder.frame_encoder import FrameEncoder
from vgbench.video import to_model_range

# Frames that are encoded at once.
_FRAMES_AT_ONCE = 256
# Seconds between two looks at latents that another process makes.
_POLL_S = 0.5
# Called with the frames that are encoded and those of all videos; raises to stop.
Check: TypeAlias = Callable[[int, int], None]


class EncodeFrames(pl.Callback):
    """Gives a method that trains on latents those of its videos.

    Args:
        cache: Where they are kept.
        check: Called now and then, with the trainer and the model; raises to end the run.
    """

    def __init__(self, cache: "LatentCache", check: Callable[[pl.Trainer, VideoGAN], None]) -> None:
        self.cache, self.check = cache, check

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Lets batches have latents, once the encoder's weights are those that will be used."""
        encoder = pl_module.frame_encoder
        if encoder is None:
            return
        clips: ClipDataset = trainer.datamodule.dataset

        def check(done: int, total: int) -> None:
            self.check(trainer, pl_module)

        with pl_module.evaluating():
            clips.latents = self.cache.open(clips, encoder, check)
        if pl_module.clips_seen == 0:
            pl_module.see_latents(clips.latents.all)


@dataclass(frozen=True)
class LatentCache:
    """Latents of data sets on disk: who needs some first makes them, others find them.

    Attributes:
        parent: Folder of all latents.
        dataset: Name of the data set.
        tell: Called with a line on what happens.
    """

    parent: Path
    dataset: str
    tell: Callable[[str], None]

    def open(self, clips: ClipDataset, encoder: FrameEncoder, check: Check) -> LatentFrames:
        """Returns the latents of the videos in use.

        Args:
            clips: The videos.
            encoder: In eval mode.
            check: Called now and then, with the frames that are encoded and those of all videos.

        Raises:
            DataError: If they are damaged or stale, or cannot be written.
        """
        origin = latent_origin(clips, encoder)
        folder = self.folder(origin)
        lengths = _lengths(clips)
        self.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(folder, self.tell, self._waiting(folder, sum(lengths), check)):
            if not folder.exists():
                self._make(folder, origin, clips, encoder, check)
            return LatentFrames(folder, origin, clips.videos, np.array(lengths))

    def folder(self, origin: Mapping[str, str]) -> Path:
        """Returns where latents of this origin are kept."""
        key = hashlib.sha256(repr(sorted(origin.items())).encode()).hexdigest()
        return self.parent / f"latents-{self.dataset}-{key[:12]}"

    def _make(
        self,
        folder: Path,
        origin: Mapping[str, str],
        clips: ClipDataset,
        encoder: FrameEncoder,
        check: Check,
    ) -> None:
        frames, begin_s = sum(_lengths(clips)), time.monotonic()

        def encode(first: int) -> Iterator[Float[Tensor, "_f l d"]]:
            there = f", of which {first} are there" if first else ""
            self.tell(f"encoding {frames} frames of {len(clips.videos)} videos{there}")
            return encoded(clips, encoder, first, check)

        write_latents(folder, origin, frames, encode)
        self.tell(f"encoded in {time.monotonic() - begin_s:.0f} s, kept as {folder.name}")

    def _waiting(self, folder: Path, total: int, check: Check) -> Callable[[str], None]:
        told: list[str] = []

        def wait(owner: str) -> None:
            if owner not in told:
                told.append(owner)
                self.tell(f"{owner} encodes the frames; waiting for {folder.name}")
            check(0, total)
            time.sleep(_POLL_S)

        return wait


def _lengths(clips: ClipDataset) -> list[int]:
    return [clips.source.meta(i).n_frames for i in clips.videos.tolist()]


def latent_origin(clips: ClipDataset, encoder: FrameEncoder) -> dict[str, str]:
    """Returns the hashes of all that decides the latents: data, videos, parts of the encoder.

    Args:
        clips: Names the data, and which of its videos are used.
        encoder: Its weights count, whichever way they came about.
    """
    parts: dict[str, Any] = {}
    for name, value in sorted(encoder.state_dict().items()):
        part = parts.setdefault(name.partition(".")[0], hashlib.sha256())
        part.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        part.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return {
        "data": clips.source.fingerprint,
        "videos": hashlib.sha256(clips.videos.tobytes()).hexdigest(),
        "encoder": hashlib.sha256(type(encoder).__qualname__.encode()).hexdigest(),
        **{f"encoder.{name}": part.hexdigest() for name, part in parts.items()},
    }


def encoded(
    clips: ClipDataset, encoder: FrameEncoder, first: int = 0, check: Check = lambda *_: None
) -> Iterator[Float[Tensor, "_f l d"]]:
    """Yields the latents of the videos in use, one after another, some frames at a time.

    Args:
        clips: The videos.
        encoder: In eval mode.
        first: Frame to start with, the first one of a part.
        check: Called before every part with the frames before it and those of all videos.
    """
    weights = next(v for v in encoder.state_dict().values() if v.is_floating_point())
    lengths = _lengths(clips)
    before = 0
    for video, length in zip(clips.videos.tolist(), lengths, strict=True):
        for start in range(0, length, _FRAMES_AT_ONCE):
            if before + start < first:
                continue
            check(before + start, sum(lengths))
            numbers = np.arange(start, min(start + _FRAMES_AT_ONCE, length))
            frames = torch.from_numpy(clips.source.read(video, numbers)).to(weights.device)
            images = to_model_range(rearrange(frames, "t h w c -> 1 t h w c"))
            with torch.no_grad():
                ws = encoder.encode(rearrange(images, "1 c t h w -> t c h w").to(weights.dtype))
            yield ws
        before += length
