"""Reading WebDataset shards in batches like those of `ClipLoader`.

WebDataset opens the shards, also those behind a URL, and deals them out to processes. Against a
cache random access is lost: shards are shuffled per epoch, and clips within a buffer.
"""

import io
import json
import random
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vgbench.data.clips import Batch, mirror
from vgbench.data.draws import Draws, permutation
from vgbench.data.policies import choose
from vgbench.data.wds import Exported, read_exported, webdataset
from vgbench.errors import DataError
from vgbench.seeds import stream_seed
from vgbench.types import SampleRequest

_SHUFFLED = 256  # clips in the buffer that shuffles a shard
# A stored clip: the epoch it is shown in, what its .json says, its .npy.
_Stored = tuple[int, dict[str, Any], bytes]


class WdsLoader:
    """Endless batches of training clips from shards; resumes after any batch.

    Clips are drawn from the stored clips as `ClipDataset` draws them from videos: an epoch shows
    each stored clip once, over all processes and workers together. The k-th batch of a process is
    a function of its rank, the seed and k, as long as there are as many processes and workers.

    Args:
        root: Folder of the shards, or a URL that WebDataset opens.
        request: How clips are drawn from the stored ones; its weight is not used.
        batch_size: Clips per batch and process.
        seed: The one seed of the run.
        start: Batches of this process that were consumed before.
        workers: Worker processes; 0 reads in this one.

    Raises:
        DataError: If WebDataset is missing, the manifest is not readable, no stored clip is long
            enough, or there are fewer shards than readers.
    """

    def __init__(
        self,
        root: str | Path,
        request: SampleRequest,
        batch_size: int,
        seed: int,
        start: int = 0,
        workers: int = 0,
    ) -> None:
        self.exported, self.workers = read_exported(str(root)), workers
        policy, lengths = request.policy, self.exported.shards.values()
        longest = max((max(kept, default=0) for kept in lengths), default=0)
        if longest < policy.min_frames:
            raise DataError(
                f"no video has the {policy.min_frames} frames that policy {policy.name} needs "
                f"(longest: {longest})"
            )
        # Places in the order of every epoch, dealt out to processes by WebDataset; here, since a
        # worker does not know of the other processes.
        places = list(webdataset().split_by_node(range(len(lengths))))
        if len(places) < max(workers, 1):
            raise DataError(
                f"{len(lengths)} shards are too few: every reader needs one of its own\n"
                "  export with a smaller --shard-size, or use fewer processes or workers"
            )
        self._stream = _Stream(str(root), self.exported, request, seed)
        self._stream.begin(places, batch_size, start)

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches with the tensors that `ClipDataset.__getitems__` names, without end.

        `index` is the number of the video in the exported source, `n` that of the stored clip plus
        as many as there are for each epoch before.
        """
        if not self.workers:
            return iter(self._stream)
        # never forked: this process has used torch
        options: dict[str, Any] = {"multiprocessing_context": "spawn", "pin_memory": False}
        return iter(DataLoader(self._stream, None, num_workers=self.workers, **options))


class _Stream(IterableDataset[Batch]):
    """What one process reads, or each of its workers a share of."""

    def __init__(self, root: str, exported: Exported, request: SampleRequest, seed: int) -> None:
        self.root, self.exported, self.request, self.seed = root, exported, request, seed

    def begin(self, places: list[int], batch_size: int, start: int) -> None:
        """Says what this process reads, in what batches, and after how many of them."""
        self.places, self.batch_size, self.start = places, batch_size, start

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        # Batches come from the workers in turn, from worker 0 on, also after `start` of them.
        turn = (worker + self.start) % workers
        before = len(range(turn, self.start, workers))
        samples = self._samples(self.places[turn::workers], before * self.batch_size)
        while True:
            yield self._batch(list(islice(samples, self.batch_size)))

    def _samples(self, places: list[int], skip: int) -> Iterator[_Stored]:
        names, need = list(self.exported.shards), self.request.min_frames
        for epoch in count():
            order = permutation(len(names), self.seed, "wds-shards", epoch)
            for shard in order[places].tolist():
                clips = sum(length >= need for length in self.exported.shards[names[shard]])
                if skip < clips:
                    yield from islice(self._shard(names[shard], shard, epoch), skip, None)
                skip = max(skip - clips, 0)

    def _shard(self, name: str, number: int, epoch: int) -> Iterator[_Stored]:
        wds = webdataset()
        members = wds.tariterators.tarfile_samples([{"url": f"{self.root.rstrip('/')}/{name}"}])
        rng = random.Random(stream_seed(self.seed, "wds-clips", epoch, number))
        for member in wds.shuffle(_SHUFFLED, initial=_SHUFFLED, rng=rng)(iter(members)):
            about = json.loads(member["json"])
            if about["frames"] >= self.request.min_frames:
                yield epoch, about, member["npy"]

    def _batch(self, stored: list[_Stored]) -> Batch:
        epochs, about = [epoch for epoch, _, _ in stored], [about for _, about, _ in stored]
        seeds = [stream_seed(self.seed, "wds-data", epoch) for epoch in epochs]
        index = np.array([clip["index"] for clip in about], np.uint64)
        draws = Draws(np.array(seeds, np.uint64), index)
        flip = (draws.below(2) == 1) & self.request.flip
        lengths = np.array([clip["frames"] for clip in about], np.int64)
        frames = choose(self.request.policy, lengths, draws)
        clips = [_load(npy, rows) for (_, _, npy), rows in zip(stored, frames.index, strict=True)]
        video = torch.from_numpy(np.stack(clips))
        mirror(video, flip)
        numbers = np.array(epochs, np.int64) * self.exported.clips + index.astype(np.int64)
        columns = {"t": frames.times, "flip": flip, "n": numbers}
        columns |= {
            key: np.array([clip[name] for clip in about], np.int64)
            for key, name in (("index", "video"), ("label", "label"))
        }
        return {"video": video} | {k: torch.from_numpy(column) for k, column in columns.items()}


def _load(npy: bytes, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
    clip: UInt8[ndarray, "t h w 3"] = np.load(io.BytesIO(npy), allow_pickle=False)[frames]
    return clip
