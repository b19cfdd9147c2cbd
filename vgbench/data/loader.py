"""Endless batches of training clips; read ahead by one thread where a GPU does the training."""

import queue
import threading
from collections.abc import Generator
from itertools import count

import numpy as np
import torch

from vgbench.data.clips import Batch, ClipDataset

_READ_AHEAD = 2
_PLANNED = 8  # steps planned at once: to plan one costs half as much as to copy a small batch
_POLL_S = 0.1


class ClipLoader:
    """An endless iterable of batches that can start at any sample number.

    Global step g of rank r among W holds the samples `start + g W b + r b + j`, j in [0, b). So the
    ranks together see the same sequence whatever W is, as long as W b is the same, and a run goes
    on exactly where it stopped if `start` is the number of samples that were consumed.

    Worker processes would be slower here: a raw cache is a copy away, and each batch that crosses
    a process is a new shared-memory file.

    Args:
        dataset: Where the samples come from.
        batch_size: Samples per batch and rank, b.
        start: Number of the first sample of the first step, over all ranks.
        rank: Which process this is, r.
        world: Number of processes, W.
        read_ahead: Whether a thread prepares the next batches; None does so if there is a CUDA
            device. Training on the CPU keeps every core busy, and a thread that takes one away
            doubled the time of a step (measured on two cores).
    """

    def __init__(
        self,
        dataset: ClipDataset,
        batch_size: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        read_ahead: bool | None = None,
    ) -> None:
        self.dataset, self.batch_size, self.start = dataset, batch_size, start
        self.rank, self.world = rank, world
        self.read_ahead = torch.cuda.is_available() if read_ahead is None else read_ahead

    def numbers(self, step: int) -> range:
        """Returns the global sample numbers of this rank's batch at `step`."""
        first = self.start + (step * self.world + self.rank) * self.batch_size
        return range(first, first + self.batch_size)

    def __iter__(self) -> Generator[Batch, None, None]:
        """Yields batches as `ClipDataset.batch` returns them, without end.

        They are in pinned memory if there is a CUDA device.
        A thread ends when the iterator is closed or dropped; what it raises is raised here.
        """
        return self._threaded() if self.read_ahead else self._batches()

    def _batches(self) -> Generator[Batch, None, None]:
        pin, size = torch.cuda.is_available(), self.batch_size
        for first in count(0, _PLANNED):
            steps = [self.numbers(step) for step in range(first, first + _PLANNED)]
            plan = self.dataset.plan(np.concatenate([np.asarray(numbers) for numbers in steps]))
            for row in range(0, _PLANNED * size, size):
                yield self.dataset.read(plan[row : row + size], pin=pin)

    def _threaded(self) -> Generator[Batch, None, None]:
        ready: queue.Queue[Batch | BaseException] = queue.Queue(_READ_AHEAD)
        stop = threading.Event()
        thread = threading.Thread(
            target=self._read_ahead, args=(ready, stop), name="vgbench-clips", daemon=True
        )
        thread.start()
        try:
            while True:
                batch = ready.get()
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            stop.set()
            thread.join()

    def _read_ahead(
        self, ready: "queue.Queue[Batch | BaseException]", stop: threading.Event
    ) -> None:
        try:
            for batch in self._batches():
                if stop.is_set():
                    return
                _put(batch, ready, stop)
        except BaseException as error:  # raised again by the consumer
            _put(error, ready, stop)


def _put(
    item: Batch | BaseException,
    ready: "queue.Queue[Batch | BaseException]",
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            ready.put(item, timeout=_POLL_S)
        except queue.Full:
            continue
        return
