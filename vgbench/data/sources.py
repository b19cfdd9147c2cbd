"""Where videos come from: the one interface of all sources, and files read as they are."""

from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray

from vgbench.data.hashing import hash_lines
from vgbench.data.inputs.find import find_inputs
from vgbench.data.timeline import Timing
from vgbench.registry import load_target
from vgbench.types import DatasetConfig, VideoMeta


@runtime_checkable
class VideoSource(Protocol):
    """Videos by number, their frames by number; no tensors, no augmentation."""

    @property
    def name(self) -> str:
        """Name of the data set."""
        ...

    @property
    def fingerprint(self) -> str:
        """64 hex digits that change whenever any pixel may."""
        ...

    def __len__(self) -> int: ...

    def meta(self, i: int) -> VideoMeta:
        """Returns what is known of video `i`."""
        ...

    def read(self, i: int, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns the given frames of video `i`, in the given order, repeats allowed."""
        ...


@runtime_checkable
class EndlessSource(Protocol):
    """A source that can draw disjoint sets of videos from the same distribution."""

    def redraw(self, draw: int) -> VideoSource:
        """Returns the `draw`-th set after this one; 0 is the source itself."""
        ...


def open_dataset(config: DatasetConfig, split: str = "train") -> VideoSource:
    """Returns the videos of `split` of the data set that `config` describes."""
    source: VideoSource = load_target(config.target)(config, split)
    return source


class VideoFolderSource:
    """Videos of a folder or file, decoded on demand; for evaluating anybody's generated videos.

    Everything that `data prepare` takes: video files, folders or archives of frames, arrays. Each
    video is decoded sequentially as a whole, so that the frames are those of `data prepare`, and
    the last one is kept: ask for all frames of one video before the next. Nothing is cropped or
    resized. Training reads a prepared cache instead, which is hundreds of times faster.

    Args:
        root: Folder that is searched recursively, or one file.

    Raises:
        DataError: If there is no video in `root`.
    """

    def __init__(self, root: Path) -> None:
        self.name = root.name
        self._videos = find_inputs(root).videos
        self._last: tuple[int, UInt8[ndarray, "t h w 3"], Timing] | None = None
        self._metas: dict[int, VideoMeta] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all names and contents."""
        return hash_lines(f"{video.name}:{video.content()}" for video in self._videos)

    def __len__(self) -> int:
        return len(self._videos)

    def meta(self, i: int) -> VideoMeta:
        """Returns what is known of video `i`; decodes it the first time, since headers lie.

        Raises:
            DataError: If it is damaged; says how.
        """
        if i not in self._metas:
            frames, timing = self._decode(i)
            n, height, width, _ = frames.shape
            video = self._videos[i]
            label = None if video.label < 0 else video.label
            self._metas[i] = VideoMeta(
                video.name, n, height, width, timing.fps, group=video.group, label=label
            )
        return self._metas[i]

    def read(self, i: int, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns the given frames of video `i`.

        Raises:
            DataError: If it is damaged; says how.
        """
        return np.ascontiguousarray(self._decode(i)[0][frames])

    def _decode(self, i: int) -> tuple[UInt8[ndarray, "t h w 3"], Timing]:
        if self._last is None or self._last[0] != i:
            with self._videos[i].open() as reader:
                frames = list(reader)
                self._last = (i, np.stack(frames), reader.timing())
        return self._last[1:]
