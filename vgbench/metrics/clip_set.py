"""Sets of clips as the evaluator takes them, and what they are called in the feature cache."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from vgbench.metrics.protocol import EvalProtocol

# The underscores let clips of one call differ in size; what may differ is the protocol's business.
Clip = UInt8[Tensor, "_t _h _w 3"] | UInt8[np.ndarray, "_t _h _w 3"]

# Fields of a protocol that decide neither which clips there are nor what they look like. A field
# that is not listed is part of the key: a new one costs cached features, never a wrong number.
_NOT_CLIPS = frozenset(
    {
        *("metric", "variant", "version", "statistic", "extractor", "preprocess", "bn_eps"),
        *("ddof", "square_root", "arithmetic", "normalise", "neighbours", "null_splits"),
        *("min_clips", "n_real", "n_fake"),
    }
)


@dataclass(frozen=True)
class ClipSet:
    """Clips that can be read from any position.

    Attributes:
        read: From (protocol, first, step) to the items `first`, `first + step`, ... of the set that
            the protocol takes. Item k must not depend on how many are read.
        identity: What the items come from, e.g. a data set's fingerprint or a checkpoint's hash
            and a seed. Empty: unknown, so their features are not kept.
        video_of: From (protocol, item) to the number of its video, where items share videos.
        size: From a protocol to the number of items there are, where that is known.
    """

    read: Callable[[EvalProtocol, int, int], Iterable[Clip]]
    identity: str = ""
    video_of: Callable[[EvalProtocol, int], int] | None = None
    size: Callable[[EvalProtocol], int] | None = None

    def key(self, protocol: EvalProtocol, stage: str) -> dict[str, object]:
        """Returns what decides the items, as plain values.

        Args:
            protocol: Says which clips are taken.
            stage: `real`, `fake` or `floor`.
        """
        other = ("real_",) if stage == "fake" else ("fake_", "frames_per_fake_video")
        taken = {
            name: value
            for name, value in asdict(protocol).items()
            if name not in _NOT_CLIPS and not name.startswith(other)
        }
        if protocol.trials > 1:  # the items of the second trial follow those of the first
            taken |= {"n_real": protocol.n_real, "n_fake": protocol.n_fake}
        return {"clips": self.identity, "stage": stage, "rules": taken}


Clips = ClipSet | Iterable[Clip] | Callable[[EvalProtocol], Iterable[Clip]]


class ClipReader:
    """Reads one set, continuing where the last call ended whenever that is asked for.

    Args:
        clips: The set. An iterable, or a function from a protocol to one, holds this process's
            share of the items already and can be read from its start only.
        protocol: Says which clips are taken.
        rank: Number of this process.
        world: Number of processes.
    """

    def __init__(self, clips: Clips, protocol: EvalProtocol, rank: int, world: int) -> None:
        self.source = clips(protocol) if callable(clips) else clips
        self._protocol = protocol
        self._rank, self._world = rank, world
        self._position: int | None = None
        self._items: Iterator[Clip] = iter(())

    def part(self, first: int, stop: int) -> Iterator[Clip]:
        """Returns this process's items of the range `first` to `stop`."""
        if self._position != first:
            self._items = iter(self._from(first))
        # Elsewhere another process has the next item, and this one has to find its own anew.
        goes_on = (stop - first) % self._world == 0
        self._position = stop if goes_on else None
        return islice(self._items, len(range(first + self._rank, stop, self._world)))

    def _from(self, first: int) -> Iterable[Clip]:
        if isinstance(self.source, ClipSet):
            return self.source.read(self._protocol, first + self._rank, self._world)
        assert first == 0  # such sets are read in one go
        return self.source
