"""Writing shards video by video, so that they can be cut back to any finished video."""

import contextlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt64
from numpy import ndarray

from vgbench.data.cache import shard_files
from vgbench.data.hashing import hash_file

_CHUNK = 2**22


@dataclass(frozen=True)
class Place:
    """Where a video is: its shard, its first frame in it, and the frame after its last."""

    shard: int
    begin: int
    end: int


@dataclass(frozen=True)
class FinishedFile:
    """A file that will not change any more: bytes, and blake2b-256 of the content."""

    bytes: int
    blake2b: str


@dataclass(frozen=True)
class FinishedShard:
    """A shard that will not change any more: number of frames, and its files by name."""

    frames: int
    files: dict[str, FinishedFile]


class _OpenShard(ABC):
    """A shard that is being written; made anew, or cut back to its first `frames`.

    Attributes:
        frames: Frames in it.
        bytes: Bytes of these frames.
        files: Its open files.
    """

    frames: int
    bytes: int
    files: list[io.BufferedIOBase]

    @abstractmethod
    def append(self, data: io.BufferedIOBase, sizes: Int64[ndarray, "f"]) -> None:
        """Copies frames of the given sizes in bytes to the end."""

    @abstractmethod
    def write_header(self) -> None:
        """Writes what depends on the number of frames."""


class _RawShard(_OpenShard):
    """A `.npy` of frames."""

    def __init__(self, paths: Sequence[Path], resolution: int, frames: int = 0) -> None:
        self._shape, self.frames = (resolution, resolution, 3), frames
        self.bytes = frames * resolution**2 * 3
        self.files = [_cut(paths[0], _HEADER_BYTES + self.bytes)]
        self.write_header()

    def append(self, data: io.BufferedIOBase, sizes: Int64[ndarray, "f"]) -> None:
        _copy(data, self.files[0], int(sizes.sum()))
        self.frames += len(sizes)
        self.bytes += int(sizes.sum())

    def write_header(self) -> None:
        _overwrite_header(self.files[0], "|u1", (self.frames, *self._shape))

    @staticmethod
    def stored(paths: Sequence[Path], resolution: int) -> int:
        """Returns how many whole frames are on disk."""
        return (paths[0].stat().st_size - _HEADER_BYTES) // (resolution**2 * 3)


class _JpegShard(_OpenShard):
    """A `.jpgs` of concatenated JPEGs, and an `.idx.npy` of where each begins and the last ends."""

    def __init__(self, paths: Sequence[Path], resolution: int, frames: int = 0) -> None:
        self.frames = frames
        self.bytes = int(_offsets(paths[1])[frames]) if frames else 0
        self.files = [_cut(paths[0], self.bytes), _cut(paths[1], _HEADER_BYTES + 8 * (frames + 1))]
        self.write_header()

    def append(self, data: io.BufferedIOBase, sizes: Int64[ndarray, "f"]) -> None:
        _copy(data, self.files[0], int(sizes.sum()))
        self.files[1].write((self.bytes + np.cumsum(sizes)).astype("<u8").tobytes())
        self.frames += len(sizes)
        self.bytes += int(sizes.sum())

    def write_header(self) -> None:
        _overwrite_header(self.files[1], "<u8", (self.frames + 1,))

    @staticmethod
    def stored(paths: Sequence[Path], resolution: int) -> int:
        """Returns how many whole frames are on disk."""
        return int(np.sum(_offsets(paths[1]) <= paths[0].stat().st_size)) - 1


class ShardWriter:
    """Appends videos to shards of limited size; a longer video gets a shard of its own.

    Args:
        folder: Where the shards go.
        resolution: Height and width of the frames.
        codec: `raw` or `jpeg:Q`.
        max_bytes: Bytes of frames at which a shard is full.

    Attributes:
        finished: The finished shards.
    """

    def __init__(self, folder: Path, resolution: int, codec: str, max_bytes: int) -> None:
        self.finished: list[FinishedShard] = []
        self._folder, self._resolution, self._codec = folder, resolution, codec
        self._kind = _RawShard if codec == "raw" else _JpegShard
        self._max_bytes = max_bytes
        self._stored: dict[int, int] = {}  # frames that earlier work has left
        self._open: _OpenShard | None = None

    def append(self, data: io.BufferedIOBase, sizes: Int64[ndarray, "f"]) -> Place:
        """Copies the next `sizes.sum()` bytes of `data`, one video, and returns where it is.

        Args:
            data: Raw frames or JPEGs.
            sizes: Bytes of each frame.
        """
        if self._open is not None and self._open.bytes + int(sizes.sum()) > self._max_bytes:
            self.finish()
        number = len(self.finished)
        if self._open is None:
            self._open = self._kind(self._paths(number), self._resolution)
        begin = self._open.frames
        self._open.append(data, sizes)
        return Place(number, begin, self._open.frames)

    def finish(self) -> None:
        """Finishes the shard that is being written, if any: it is on disk when this returns."""
        if self._open is None:
            return
        self._open.write_header()
        self.sync()
        for file in self._open.files:
            file.close()
        files = {path.name: finished_file(path) for path in self._paths(len(self.finished))}
        self.finished.append(FinishedShard(self._open.frames, files))
        self._open = None

    def sync(self) -> None:
        """Puts everything that was appended safely on disk."""
        for file in self._open.files if self._open else ():
            sync(file)

    def discard(self) -> None:
        """Deletes the shard that is being written, if any."""
        for file in self._open.files if self._open else ():
            with contextlib.suppress(OSError):  # what is buffered may not fit on the disk
                file.close()
        self._open = None
        for path in self._paths(len(self.finished)):
            path.unlink(missing_ok=True)

    def holds(self, place: Place) -> bool:
        """Returns whether all frames of `place` are on disk; ask before work goes on."""
        if place.shard not in self._stored:
            paths = self._paths(place.shard)
            existing = all(path.is_file() for path in paths)
            frames = self._kind.stored(paths, self._resolution) if existing else 0
            self._stored[place.shard] = frames
        return self._stored[place.shard] >= place.end

    def resume(self, finished: Sequence[FinishedShard], places: Sequence[Place]) -> None:
        """Goes on after the `finished` shards and the videos at `places`; cuts off the rest."""
        self.finished = list(finished)
        ends = [place.end for place in places if place.shard == len(finished)]
        if ends:
            paths = self._paths(len(finished))
            self._open = self._kind(paths, self._resolution, max(ends))

    def _paths(self, number: int) -> list[Path]:
        return [self._folder / name for name in shard_files(number, self._codec)]


def finished_file(path: Path) -> FinishedFile:
    """Returns size and hash of a file."""
    return FinishedFile(path.stat().st_size, hash_file(path))


def sync(file: io.BufferedIOBase) -> None:
    """Puts what was written to `file` safely on disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Puts the names in `folder` safely on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cut(path: Path, size: int) -> io.BufferedIOBase:
    """Opens a file for writing at its end, cut or filled with zeros to `size` bytes."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(size)
    file.seek(0, os.SEEK_END)
    return file


def _copy(data: io.BufferedIOBase, target: io.BufferedIOBase, size: int) -> None:
    while size > 0:
        block = data.read(min(size, _CHUNK))
        target.write(block)
        size -= len(block)


def _npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    fields = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


# numpy leaves room for the first axis to grow, so the length does not depend on it
_HEADER_BYTES = len(_npy_header("|u1", (0, 64, 64, 3)))


def _overwrite_header(file: io.BufferedIOBase, kind: str, shape: tuple[int, ...]) -> None:
    header = _npy_header(kind, shape)
    assert len(header) == _HEADER_BYTES
    file.seek(0)
    file.write(header)
    file.seek(0, os.SEEK_END)


def _offsets(path: Path) -> UInt64[ndarray, "n"]:
    """Returns the offsets of an unfinished index, whose header does not know their number."""
    return np.fromfile(path, "<u8", offset=_HEADER_BYTES)
