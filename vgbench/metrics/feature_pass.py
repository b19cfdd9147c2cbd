"""One pass over the clips that several protocols share: batches, processes, memory, the cache."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from vgbench.errors import ProtocolError, VGBenchError
from vgbench.metrics.clip_set import Clip, ClipReader, Clips, ClipSet
from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.metrics.feature_cache import SHARD_ITEMS, CachedSet, FeatureCache, FeatureShard
from vgbench.metrics.machine import Machine
from vgbench.metrics.processes import from_first, gather, rank_and_world
from vgbench.metrics.protocol import EvalProtocol
from vgbench.metrics.score import FeatureSet, Rows
from vgbench.video import check_clips

Progress = Callable[[str, int, int | None], None]
Core = tuple[str, str, float | None]


def core_of(protocol: EvalProtocol) -> Core:
    """Returns what protocols must share to be computed from the same features of a clip."""
    return protocol.extractor, protocol.preprocess, protocol.bn_eps


@dataclass(frozen=True)
class Collected:
    """The features of one set of clips.

    Attributes:
        features: By core.
        videos: Number of the video that each row is from; None where each is from its own.
    """

    features: dict[Core, FeatureSet]
    videos: np.ndarray | None

    @property
    def n(self) -> int:
        """Number of samples."""
        return next(iter(self.features.values())).n


class _Part(NamedTuple):
    """Items `first` to `stop` of a set that has `total` of them, where that is known."""

    first: int
    stop: int
    total: int | None


class FeaturePass:
    """Features of the sets of protocols that share their clips.

    Args:
        group: The protocols.
        nets: Their extractors.
        machine: Where these run.
        cache: Where features are kept, or None.
        report: Called with (stage, done, total).

    Attributes:
        resolution: Rows and columns of all clips, known after the first.
    """

    def __init__(
        self,
        group: Sequence[EvalProtocol],
        nets: Mapping[Core, FeatureExtractor],
        machine: Machine,
        cache: FeatureCache | None,
        report: Progress,
    ) -> None:
        self.group = group
        self.clips = group[0]
        self.nets = {core_of(p): nets[core_of(p)] for p in group}
        self.resolution: tuple[int, int] | None = None
        self._machine = machine
        self._cache = cache
        self._report = report

    def collect(self, stage: str, clips: Clips, n: int | None) -> Collected:
        """Returns the features of up to `n` items of a set.

        Args:
            stage: `real`, `fake` or `floor`.
            clips: The set.
            n: Largest number of items; None takes all.
        """
        found = {
            core: FeatureSet(keep_rows=any(p.needs_rows for p in self.group if core_of(p) == core))
            for core in self.nets
        }
        rank, world = rank_and_world()
        reader = ClipReader(clips, self.clips, rank, world)
        cached = self._cached_sets(stage, reader.source)
        # Without a cache parts are alike for all processes, so that iterables are read in one go.
        step = self._cache.shard_items if self._cache and cached else SHARD_ITEMS * world
        total = self._total(reader.source, n, world)
        counts: list[np.ndarray] = []
        done = 0
        self._report(stage, 0, total)
        while n is None or done < n:
            stop = done + step if n is None else min(done + step, n)
            shards = self._shards(stage, reader, cached, _Part(done, stop, total))
            for core, shard in shards.items():
                found[core].add(shard.rows)
            shard = next(iter(shards.values()))
            counts.append(shard.counts)
            done += len(shard.counts)
            if done < stop:
                break
        if total is not None and done != total:
            self._report(stage, done, done)
        return Collected(found, self._videos(reader.source, np.concatenate(counts)))

    def _cached_sets(self, stage: str, source: object) -> dict[Core, CachedSet]:
        """Returns where the features of a set lie, by core; nothing if they are not kept."""
        if self._cache is None or not isinstance(source, ClipSet) or not source.identity:
            return {}
        if stage != "fake" and self.clips.real_clips == "all-frames":
            return {}  # millions of images
        key = source.key(self.clips, stage) | {"device": self._machine.device.type}
        return {core: self._cache.find(key | net.identity) for core, net in self.nets.items()}

    def _shards(
        self,
        stage: str,
        reader: ClipReader,
        cached: dict[Core, CachedSet],
        part: _Part,
    ) -> dict[Core, FeatureShard]:
        """Returns the features of one part of a set, computing those that are not kept."""
        first, stop, total = part
        # One process looks, so that all agree on what there is to do.
        shards = from_first({core: own.load(first, stop - first) for core, own in cached.items()})
        present = {core: shard for core, shard in shards.items() if shard is not None}
        for shard in present.values():
            self._check_resolution(stage, shard.resolution)
        missing = [core for core in self.nets if core not in present]
        if not missing:
            items = len(next(iter(present.values())).counts)
            self._report(f"{stage} (cached)", first + items, total)
            return present
        computed = self._compute(stage, reader, missing, part)
        if rank_and_world()[0] == 0:
            for core, shard in computed.items():
                if core in cached:
                    cached[core].store(first, shard)
        return present | computed

    def _compute(
        self,
        stage: str,
        reader: ClipReader,
        cores: list[Core],
        part: _Part,
    ) -> dict[Core, FeatureShard]:
        first, stop, total = part
        rows: dict[Core, list[Rows]] = {core: [] for core in cores}
        counts: list[int] = []
        batches = self._batches(stage, reader.part(first, stop), cores)
        while items := gather(next(batches, [])):
            for item in items:
                for core, own in item.items():
                    rows[core].append(own)
            counts += [len(item[cores[0]]) for item in items]
            self._report(stage, first + len(counts), total)
        is_last = first + len(counts) < stop
        every = np.array(counts, np.int64)
        resolution = self.resolution or (0, 0)
        return {
            core: FeatureShard(_joined(own, self.nets[core].dim), every, resolution, is_last)
            for core, own in rows.items()
        }

    def _batches(
        self, stage: str, clips: Iterator[Clip], cores: list[Core]
    ) -> Iterator[list[dict[Core, Rows]] | VGBenchError]:
        """Yields the features of each batch, item by item, or the error it met.

        A GPU computes one batch while the clips of the next are read. An error is yielded, not
        raised, so that every process raises it instead of waiting for this one.
        """
        running: tuple[list[int], dict[Core, list[Tensor]]] | None = None
        while True:
            try:
                items = islice(clips, self._machine.batch_size)
                launched = self._launch([self._samples(stage, clip) for clip in items], cores)
            except VGBenchError as error:
                yield error
                return
            if running is not None:
                yield _fetched(*running)
            if launched is None:
                return
            running = launched

    def _launch(
        self, items: list[Tensor], cores: list[Core]
    ) -> tuple[list[int], dict[Core, list[Tensor]]] | None:
        if not items:
            return None
        samples = torch.cat(items)
        height, width = samples.shape[2:4]
        rows = {
            core: self._machine.features(self.nets[core].for_frames(height, width), samples)
            for core in cores
        }
        return [len(item) for item in items], rows

    def _samples(self, stage: str, clip: Tensor | np.ndarray) -> UInt8[Tensor, "n t h w 3"]:
        """Returns an item as one clip, or as its single frames where the protocol takes images."""
        frames = clip if isinstance(clip, Tensor) else torch.tensor(clip)
        height, width = check_clips(frames[None]).shape[2:4]
        self._check_resolution(stage, (height, width))
        if self.clips.frames == 1:
            return rearrange(frames, "t h w c -> t 1 h w c")
        if len(frames) != self.clips.frames:
            raise ProtocolError(
                f"a {stage} clip has {len(frames)} frames; protocol {self.clips.id} takes clips of "
                f"{self.clips.frames}"
            )
        return rearrange(frames, "t h w c -> 1 t h w c")

    def _check_resolution(self, stage: str, resolution: tuple[int, int]) -> None:
        self.resolution = self.resolution or resolution
        if resolution != self.resolution:
            here, first = ("x".join(map(str, s)) for s in (resolution, self.resolution))
            raise ProtocolError(
                f"a {stage} clip has {here} pixels, the first real clip {first}\n"
                "  a metric compares clips of one resolution: prepare or sample them at one size"
            )

    def _total(self, source: object, n: int | None, world: int) -> int | None:
        """Returns how many items there will be, as far as that is known."""
        if isinstance(source, ClipSet) and source.size is not None:
            available = source.size(self.clips)
        elif isinstance(source, Sized):
            available = len(source) * world
        else:
            return n
        return available if n is None else min(n, available)

    def _videos(self, source: object, counts: np.ndarray) -> np.ndarray | None:
        """Returns the video of each row, where several rows may come from one."""
        video_of = source.video_of if isinstance(source, ClipSet) else None
        items = range(len(counts))
        numbers = [video_of(self.clips, i) for i in items] if video_of else list(items)
        videos = np.repeat(np.array(numbers, np.int64), counts)
        return videos if len(np.unique(videos)) < len(videos) else None


def _fetched(counts: list[int], rows: dict[Core, list[Tensor]]) -> list[dict[Core, Rows]]:
    whole = {core: torch.cat(parts).cpu().numpy() for core, parts in rows.items()}
    stops = np.cumsum(counts).tolist()
    return [
        {core: own[start:stop] for core, own in whole.items()}
        for start, stop in pairwise([0, *stops])
    ]


def _joined(rows: list[Rows], dim: int) -> Rows:
    return np.concatenate(rows) if rows else np.zeros((0, dim), np.float32)
