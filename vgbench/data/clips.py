"""Training clips: which video, which frames, mirrored or not, all keyed by the sample's number.

Sample n of the endless stream belongs to epoch n // N at position n mod N, N being the number of
usable videos. Its video is that position's entry of the epoch's permutation; everything else is
drawn from a stream keyed by (seed, epoch, position). So a sample depends on (seed, n) alone: not
on batch size, processes, prefetching, or where a run was interrupted. One integer resumes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64
from numpy import ndarray
from torch import Tensor

from vgbench.data.draws import Draws, permutation
from vgbench.data.latents import LatentFrames
from vgbench.data.policies import Frames, choose
from vgbench.data.sources import VideoSource
from vgbench.errors import DataError
from vgbench.seeds import stream_seed
from vgbench.types import SampleRequest

Batch = dict[str, Tensor]


@runtime_checkable
class BatchSource(Protocol):
    """A source that can write many clips to where they are wanted, which saves copies and calls."""

    def read_batch(
        self,
        videos: Int64[ndarray, "n"],
        frames: Int64[ndarray, "n t"],
        out: UInt8[ndarray, "n t h w 3"],
    ) -> None:
        """Writes the given frames of each video to its row of `out`."""
        ...


@dataclass(frozen=True)
class Plan:
    """What some samples show.

    Attributes:
        numbers: Their numbers in the endless stream.
        videos: Number of each sample's video in the source.
        frames: Its frames and their times.
        flip: Whether it is mirrored.
    """

    numbers: Int64[ndarray, "n"]
    videos: Int64[ndarray, "n"]
    frames: Frames
    flip: Bool[ndarray, "n"]

    def __getitem__(self, part: slice) -> "Plan":
        """Returns the plan of some of the samples."""
        frames = Frames(self.frames.index[part], self.frames.times[part])
        return Plan(self.numbers[part], self.videos[part], frames, self.flip[part])


class ClipDataset:
    """The endless, addressable stream of training clips.

    An epoch has as many samples as there are usable videos. Videos of equal weight occur once each;
    else a video occurs as often as its weight says, to within one.

    Args:
        source: Where the videos are.
        request: How clips are drawn from them.
        seed: The one seed of the run.

    Attributes:
        videos: Numbers of the videos that are used: long enough, and as many as the request says.
        too_short: How many are not long enough.
        latents: Latents that stand for the frames, if the method trains on these.

    Raises:
        DataError: If no video is long enough.
    """

    def __init__(self, source: VideoSource, request: SampleRequest, seed: int) -> None:
        self.source, self.request, self.seed = source, request, seed
        metas = [source.meta(i) for i in range(len(source))]
        self._lengths = np.array([meta.n_frames for meta in metas], np.int64)
        labels = [-1 if meta.label is None else meta.label for meta in metas]
        self._labels = np.array(labels, np.int64)
        long_enough = np.flatnonzero(self._lengths >= request.min_frames)
        self.too_short = len(metas) - len(long_enough)
        self.videos = long_enough[: request.videos or None]
        if not len(self.videos):
            raise DataError(
                f"no video has the {request.min_frames} frames that policy "
                f"{request.policy.name} needs (longest: {self._lengths.max(initial=0)})"
            )
        first = metas[self.videos[0]]
        self._size = (first.height, first.width, 3)
        self._read_batch = source.read_batch if isinstance(source, BatchSource) else None
        self._edges = self._weight_edges()
        self.latents: LatentFrames | None = None
        self._epoch: tuple[int, Int64[ndarray, "n"]] | None = None

    def __len__(self) -> int:
        """Returns the clips per epoch, which is the number of usable videos."""
        return len(self.videos)

    def plan(self, ns: Sequence[int] | Int64[ndarray, "n"]) -> Plan:
        """Returns what the samples with the global numbers `ns` show, without reading a frame."""
        numbers = np.asarray(ns, np.int64)
        epochs, positions = np.divmod(numbers, len(self))
        draws = self._draws("data", epochs, positions)
        coins = draws.below(2)  # drawn always, so that mirroring changes no other choice
        videos = self.videos[self._items(epochs, positions)]
        frames = choose(self.request.policy, self._lengths[videos], draws)
        return Plan(numbers, videos, frames, (coins == 1) & self.request.flip)

    def sample(self, n: int) -> dict[str, Any]:
        """Returns the sample with the global number `n`.

        Returns:
            `video` (uint8 tensor, T H W C), `t` (float32 tensor, T, as the policy says), `index`
            (number of the video in the source), `video_id`, `label` (-1 for none), `flip` and `n`.
        """
        batch = {key: value[0] for key, value in self.__getitems__([n]).items()}
        scalars = {key: batch[key].item() for key in ("index", "label", "flip", "n")}
        name = self.source.meta(int(scalars["index"])).video_id
        return {"video": batch["video"], "t": batch["t"], "video_id": name, **scalars}

    def __getitems__(self, ns: Sequence[int]) -> Batch:
        """Returns the samples `ns` as one batch; strings stay behind, `index` leads to them.

        Returns:
            `video` (uint8, B T H W C) or in its place `latents` (float32, B T L D), `t` (float32,
            B T), `index`, `label`, `n` (int64, B) and `flip` (bool, B).
        """
        return self.read(self.plan(ns))

    def read(self, plan: Plan, pin: bool = False) -> Batch:
        """Returns the batch of the samples of `plan`, in pinned memory if `pin`."""
        columns = {
            "t": plan.frames.times,
            "index": plan.videos,
            "label": self._labels[plan.videos],
            "flip": plan.flip,
            "n": plan.numbers,
        }
        small = {key: torch.from_numpy(column) for key, column in columns.items()}
        small = {key: value.pin_memory() for key, value in small.items()} if pin else small
        if self.latents is None:
            return {"video": self._video(plan, pin), **small}
        latents = torch.from_numpy(self.latents.read(plan.videos, plan.frames.index))
        return {"latents": latents.pin_memory() if pin else latents, **small}

    def _video(self, plan: Plan, pin: bool) -> UInt8[Tensor, "n t h w 3"]:
        # filled where the device copies it from: one copy per clip, and pinned memory is reused
        shape = (*plan.frames.index.shape, *self._size)
        video = torch.empty(shape, dtype=torch.uint8, pin_memory=pin)
        if self._read_batch is not None:
            self._read_batch(plan.videos, plan.frames.index, video.numpy())
        else:
            rows = zip(plan.videos.tolist(), plan.frames.index, video.numpy(), strict=True)
            for i, frames, out in rows:
                out[...] = self.source.read(i, frames)
        mirror(video, plan.flip)
        return video

    def _draws(
        self, stream: str, epochs: Int64[ndarray, "n"], positions: Int64[ndarray, "n"]
    ) -> Draws:
        seeds = {epoch: stream_seed(self.seed, stream, epoch) for epoch in set(epochs.tolist())}
        keys: UInt64[ndarray, "n"] = np.array([seeds[e] for e in epochs.tolist()], np.uint64)
        return Draws(keys, positions.astype(np.uint64))

    def _items(
        self, epochs: Int64[ndarray, "n"], positions: Int64[ndarray, "n"]
    ) -> Int64[ndarray, "n"]:
        """Returns the place in `videos` of each sample."""
        items = np.empty_like(positions)
        for epoch in set(epochs.tolist()):
            here = epochs == epoch
            items[here] = self._order(epoch)[positions[here]]
        if self._edges is None:
            return items
        # evenly spaced points of the total weight, from a start that the epoch draws: each video
        # owns as many as its weight says, to within one
        first = self._draws("video", epochs, np.zeros_like(positions)).unit()
        points = (items + first) / len(self) * self._edges[-1]
        owners = np.searchsorted(self._edges, points, side="right")
        items[:] = np.minimum(owners, len(self) - 1)
        return items

    def _weight_edges(self) -> Float64[ndarray, "n"] | None:
        weight = self.request.weight or self.request.policy.weight
        if weight == "video":
            return None
        lengths = self._lengths[self.videos].astype(np.float64)
        return np.cumsum(lengths if weight == "frame" else np.sqrt(lengths))

    def _order(self, epoch: int) -> Int64[ndarray, "n"]:
        known = self._epoch  # one read: a second reader in another thread may replace it
        if known is None or known[0] != epoch:
            known = self._epoch = (epoch, permutation(len(self), self.seed, "order", epoch))
        return known[1]


def mirror(video: UInt8[Tensor, "n t h w 3"], flip: Bool[ndarray, "n"]) -> None:
    """Mirrors the clips that `flip` marks, left to right and in place."""
    for row in np.flatnonzero(flip).tolist():
        video[row] = video[row].flip(2)
