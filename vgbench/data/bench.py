"""How fast clips come out of the loader, against how fast this machine copies memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vgbench.data.loader import ClipLoader

_COPY_BYTES = 256 * 2**20  # larger than the caches of a CPU
_TURNS = 5


@dataclass(frozen=True)
class LoaderSpeed:
    """The speed of a loader.

    Attributes:
        clips_per_s: Clips per second.
        bytes_per_s: Bytes of pixels per second.
        memcpy_per_s: Bytes per second that one thread copies between touched buffers.
    """

    clips_per_s: float
    bytes_per_s: float
    memcpy_per_s: float

    @property
    def ratio(self) -> float:
        """Pixels delivered per byte that could have been copied; 1 is the limit of the memory."""
        return self.bytes_per_s / self.memcpy_per_s


def measure(loader: ClipLoader, seconds: float = 3.0) -> LoaderSpeed:
    """Returns the speed of `loader`, after a warm-up of a third of `seconds`.

    Loader and copying are measured in five turns each and the best counts: on a machine that is
    not idle the mean would measure the others.
    """
    batches = iter(loader)
    try:
        batch = next(batches)
        clip_bytes = batch["video"][0].numel()
        rate(lambda: next(batches), seconds / 3)
        copied, read = 0.0, 0.0
        for _ in range(_TURNS):
            copied = max(copied, memcpy_rate(seconds / _TURNS))
            read = max(read, rate(lambda: next(batches), seconds / _TURNS))
    finally:
        batches.close()
    clips = read * loader.batch_size
    return LoaderSpeed(clips, clips * clip_bytes, copied)


def rate(work: Callable[[], object], seconds: float) -> float:
    """Returns how often per second `work` can be done, measured over at least `seconds`."""
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        work()
        done += 1
    return done / passed


def memcpy_rate(seconds: float) -> float:
    """Returns the bytes per second that one thread copies between two touched buffers."""
    source, target = (np.full(_COPY_BYTES, value, np.uint8) for value in (1, 2))
    return rate(lambda: np.copyto(target, source), seconds) * _COPY_BYTES
