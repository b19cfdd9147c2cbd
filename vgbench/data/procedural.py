"""What the data sets that are drawn from a formula share: splits, numbering and bounds."""

import dataclasses
import json
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy import ndarray

from vgbench.data.config import ProceduralConfig
from vgbench.data.hashing import hash_lines
from vgbench.errors import DataError, UsageError
from vgbench.types import VideoMeta

_SPLIT_START = {"train": 0, "test": 2**40}
_DRAW_STEP = 2**32


class ProceduralSource(ABC):
    """Videos that are pure functions of (seed, index) and time, drawn when they are read.

    Class attributes:
        name: Name of the data set.
        definition: Its version; raised whenever a pixel changes.

    Args:
        config: Options of the data set.
        split: `train` (indices from 0) or `test` (indices from 2**40).
        draw: Number of the disjoint set of indices.

    Raises:
        DataError: If there is no such split.
        UsageError: If an option is out of range.
    """

    name: ClassVar[str]
    definition: ClassVar[str]

    def __init__(self, config: ProceduralConfig, split: str = "train", draw: int = 0) -> None:
        if split not in _SPLIT_START:
            raise DataError(f"dataset '{self.name}' has no split '{split}'; choose train or test")
        for name in ("resolution", "frames", "videos"):
            if getattr(config, name) < 1:
                raise UsageError(f"dataset.{name}={getattr(config, name)}: must be at least 1")
        if config.videos > _DRAW_STEP:
            raise UsageError(f"dataset.videos={config.videos}: at most {_DRAW_STEP}")
        self._options, self._split, self._draw = config, split, draw
        self._first = _SPLIT_START[split] + draw * _DRAW_STEP

    @abstractmethod
    def render(self, i: int, times: Float64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns video `i` at any real times, in frames; the length is no limit."""

    @property
    def fingerprint(self) -> str:
        """Hash of the definition's version, every option, the split and the draw."""
        options = dataclasses.asdict(self._options)
        content = {"definition": self.definition, "split": self._split, "draw": self._draw}
        return hash_lines([json.dumps(content | options, sort_keys=True)])

    def __len__(self) -> int:
        return self._options.videos

    def redraw(self, draw: int) -> "ProceduralSource":
        """Returns the same distribution with other videos: the `draw`-th set of indices on."""
        return type(self)(self._options, self._split, self._draw + draw)

    def meta(self, i: int) -> VideoMeta:
        """Returns what is known of video `i`; it needs no drawing."""
        config, name = self._options, f"{self._split}-{self._index(i)}"
        side = config.resolution
        return VideoMeta(name, config.frames, side, side, config.fps, name, self.label(i))

    def label(self, i: int) -> int | None:
        """Returns the class of video `i`, if there are classes."""
        return None

    def read(self, i: int, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns the given frames of video `i`, drawn on the CPU.

        Raises:
            IndexError: If a frame is outside [0, n_frames).
        """
        frames = np.asarray(frames)
        if len(frames) and (frames.min() < 0 or frames.max() >= self._options.frames):
            raise IndexError(f"frames of a {self._options.frames}-frame video: {frames}")
        return self.render(i, frames.astype(np.float64))

    def _index(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise IndexError(f"video {i} of {len(self)}")
        return self._first + i
