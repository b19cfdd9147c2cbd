"""Encodes the frames of the training videos before a method's first step that trains on latents."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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


class EncodeFrames(pl.Callback):
    """Gives a method that trains on latents those of its videos.

    The first run that needs them makes them, others find them.

    Args:
        parent: Folder of all latents.
        dataset: Name of the data set.
        tell: Called with a line on what happens.
        check: Called now and then, with the trainer and the model; raises to end the run.
    """

    def __init__(
        self,
        parent: Path,
        dataset: str,
        tell: Callable[[str], None],
        check: Callable[[pl.Trainer, VideoGAN], None],
    ) -> None:
        self.parent, self.dataset, self.tell, self.check = parent, dataset, tell, check

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Lets batches have latents, once the encoder's weights are those that will be used."""
        encoder = pl_module.frame_encoder
        if encoder is None:
            return
        clips: ClipDataset = trainer.datamodule.dataset
        with pl_module.evaluating():
            clips.latents = self._latents(clips, encoder, lambda: self.check(trainer, pl_module))
        if pl_module.clips_seen == 0:
            pl_module.see_latents(clips.latents.all)

    def _latents(
        self, clips: ClipDataset, encoder: FrameEncoder, check: Callable[[], None]
    ) -> LatentFrames:
        lengths = np.array([clips.source.meta(i).n_frames for i in clips.videos.tolist()])
        origin = latent_origin(clips, encoder)
        key = hashlib.sha256(repr(sorted(origin.items())).encode()).hexdigest()
        folder = self.parent / f"latents-{self.dataset}-{key[:12]}"
        self.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(folder, self.tell, self._waiting(folder, check)):
            if not folder.exists():
                self._make(folder, origin, clips, encoder, check)
            return LatentFrames(folder, origin, clips.videos, lengths)

    def _make(
        self,
        folder: Path,
        origin: Mapping[str, str],
        clips: ClipDataset,
        encoder: FrameEncoder,
        check: Callable[[], None],
    ) -> None:
        metas = [clips.source.meta(i) for i in clips.videos.tolist()]
        frames = sum(meta.n_frames for meta in metas)
        self.tell(f"encoding {frames} frames of {len(metas)} videos")
        start = time.monotonic()
        parts = encoded(clips, encoder, check)
        first = next(parts)
        write_latents(folder, origin, (frames, *first.shape[1:]), _chain(first, parts))
        self.tell(f"encoded in {time.monotonic() - start:.0f} s, kept as {folder.name}")

    def _waiting(self, folder: Path, check: Callable[[], None]) -> Callable[[str], None]:
        told: list[str] = []

        def wait(owner: str) -> None:
            if owner not in told:
                told.append(owner)
                self.tell(f"{owner} encodes the frames; waiting for {folder.name}")
            check()
            time.sleep(_POLL_S)

        return wait


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


@torch.no_grad()
def encoded(
    clips: ClipDataset, encoder: FrameEncoder, check: Callable[[], None] = lambda: None
) -> Iterator[Float[Tensor, "_f l d"]]:
    """Yields the latents of the videos in use, one after another, some frames at a time.

    Args:
        clips: The videos.
        encoder: In eval mode.
        check: Called before every part.
    """
    weights = next(v for v in encoder.state_dict().values() if v.is_floating_point())
    for video in clips.videos.tolist():
        length = clips.source.meta(video).n_frames
        for start in range(0, length, _FRAMES_AT_ONCE):
            check()
            numbers = np.arange(start, min(start + _FRAMES_AT_ONCE, length))
            frames = torch.from_numpy(clips.source.read(video, numbers)).to(weights.device)
            images = to_model_range(rearrange(frames, "t h w c -> 1 t h w c"))
            yield encoder.encode(rearrange(images, "1 c t h w -> t c h w").to(weights.dtype))


def _chain(
    first: Float[Tensor, "_f l d"], rest: Iterator[Float[Tensor, "_f l d"]]
) -> Iterator[Float[Tensor, "_f l d"]]:
    yield first
    yield from rest
