"""Arrays in .npy and .npz files: one row is one video."""

import hashlib
import io
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vgbench.data.decode import MAX_SIDE, Header, RefusedError
from vgbench.data.inputs.archives import (
    Member,
    data_offset,
    peek_member,
    read_directory,
    read_member,
)
from vgbench.data.inputs.base import FrameReader, InputVideo
from vgbench.data.inputs.names import shown_name
from vgbench.data.inputs.video_files import file_stamp
from vgbench.data.timeline import UNKNOWN_FPS, Timing
from vgbench.errors import DataError

ARRAY_SUFFIXES = (".npy", ".npz")
MAX_ROWS = 10**6
MAX_UNPACKED = 2**32
_KEY = "video"
_HEAD_BYTES = 2**16
# what numpy raises on damaged headers, which it parses as Python
_DAMAGE = (
    *(ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError),
    *(OverflowError, tokenize.TokenError),
)


@dataclass(frozen=True)
class ArrayFile:
    """An array of videos on disk.

    Attributes:
        path: The file.
        offset: Where its numbers begin; in the unpacked member, if it is packed.
        shape: (N, T, H, W, C) or (N, T, C, H, W).
        fortran: Whether the first axis varies fastest.
        packed: The compressed member of an .npz file, else None.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    fortran: bool = False
    packed: Member | None = None

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        a, b, c = self.shape[2:]
        return (a, b, c) if c in (1, 3) else (b, c, a)

    def rows(self) -> UInt8[ndarray, "n t ..."]:
        """Returns the array: mapped from the file, or in memory if it is compressed.

        Raises:
            OSError: If it cannot be read.
            ValueError: If it is damaged.
        """
        order: Literal["C", "F"] = "F" if self.fortran else "C"
        if self.packed is None:
            mapped: ndarray = np.memmap(
                self.path, np.uint8, "r", self.offset, self.shape, order=order
            )
            return mapped
        data = _unpacked(self.path, self.packed, file_stamp(self.path))
        return np.ndarray(self.shape, np.uint8, data, self.offset, order=order)


@lru_cache(maxsize=1)
def _unpacked(path: Path, member: Member, stamp: tuple[int, int]) -> bytes:
    """Returns a whole member; kept, for its rows are asked for one by one."""
    with path.open("rb") as file:
        return read_member(file, member)


@dataclass(frozen=True)
class ArrayRow(InputVideo):
    """A row of an array.

    Attributes:
        file: The array.
        row: Its number.
    """

    file: ArrayFile = ArrayFile(Path(), 0, ())
    row: int = 0

    def stamp(self) -> tuple[int, int]:
        """Returns the bytes of the row, and the time of the file's last change."""
        return prod(self.file.shape[1:]), file_stamp(self.file.path)[1]

    def content(self) -> str:
        """Returns the hash of its pixels.

        Raises:
            RefusedError: If it cannot be read.
        """
        digest = hashlib.blake2b(repr(self.file.shape[1:]).encode(), digest_size=32)
        with ArrayReader(self) as reader:
            for frame in reader:
                digest.update(frame.data)
        return digest.hexdigest()

    def open(self) -> FrameReader:
        """Returns its frames.

        Raises:
            RefusedError: With reason `unreadable` or `too_large`.
        """
        return ArrayReader(self)


class ArrayReader(AbstractContextManager["ArrayReader"]):
    """Iterates once over the frames of a row, as RGB; grey is replicated.

    Args:
        video: The row.

    Attributes:
        header: Its size.
        rotation: 0.
        flags: `fps_unknown`: `UNKNOWN_FPS` stands in for the frame rate.

    Raises:
        RefusedError: With reason `unreadable` or `too_large`.
    """

    def __init__(self, video: ArrayRow) -> None:
        self.rotation = 0
        self.flags = {"fps_unknown"}
        height, width, channels = video.file.frame_shape
        if max(height, width) > MAX_SIDE:
            text = f"{width}x{height} is larger than {MAX_SIDE}x{MAX_SIDE}"
            raise RefusedError("too_large", text, path=video.name)
        try:
            self._frames = video.file.rows()[video.row]
        except (OSError, ValueError) as error:
            text = f"not a readable video ({error})"
            raise RefusedError("unreadable", text, path=video.name) from error
        pix_fmt, count = "gray" if channels == 1 else "rgb24", video.file.shape[1]
        self.header = Header("array", pix_fmt, width, height, count, 0.0, None, Fraction(1), False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._frames

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]:
        """Yields the frames."""
        channels_last = self._frames.shape[-1] in (1, 3)
        for frame in self._frames:
            rgb = frame if channels_last else np.moveaxis(frame, 0, 2)
            yield np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel over its height: 1."""
        return Fraction(1)

    def timing(self, complete: bool = True) -> Timing:
        """Returns evenly spaced times."""
        times = np.arange(self.header.frames) / UNKNOWN_FPS
        return Timing(times, UNKNOWN_FPS, tuple(sorted(self.flags)))


def find_rows(path: Path, prefix: str) -> tuple[list[InputVideo], list[str]]:
    """Returns the rows of an array file as videos, and no warnings.

    Args:
        path: A .npy file, or an .npz file with one array or one called `video`.
        prefix: Name of the file if it is one of several.

    Raises:
        DataError: If it is damaged, holds Python objects, or is not an array of videos.
    """
    file = _open_packed(path) if path.suffix.lower() == ".npz" else _open_plain(path)
    if file.shape[0] > MAX_ROWS:
        raise DataError(f"{path}: {file.shape[0]} videos; at most {MAX_ROWS} are read")
    name = prefix or shown_name(path.name)
    names = (f"{name}#{row:05d}" for row in range(file.shape[0]))
    return [ArrayRow(n, n, file=file, row=row) for row, n in enumerate(names)], []


def _open_plain(path: Path) -> ArrayFile:
    try:
        with path.open("rb") as file:
            head, length = file.read(_HEAD_BYTES), path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    shape, fortran, offset = _read_head(path, head, length)
    return ArrayFile(path, offset, shape, fortran)


def _open_packed(path: Path) -> ArrayFile:
    # black videos shrink a thousandfold, so the limit is on what is unpacked in memory
    members = read_directory(path, bombs=True)
    arrays = {n.removesuffix(".npy"): m for n, m in members.items() if n.endswith(".npy")}
    if _KEY not in arrays and len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{path}: holds {names:.200}; expected one array, or one called '{_KEY}'")
    member = arrays.get(_KEY) or next(iter(arrays.values()))
    if member.deflated and member.size > MAX_UNPACKED:
        raise DataError(
            f"{path}: {member.name} is compressed and expands to {member.size} bytes\n"
            "  save it with numpy.save or numpy.savez, so that it can be read row by row"
        )
    try:
        with path.open("rb") as file:
            start, head = data_offset(file, member.offset), peek_member(file, member, _HEAD_BYTES)
    except (OSError, ValueError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    shape, fortran, offset = _read_head(path, head, member.size)
    if member.deflated:
        return ArrayFile(path, offset, shape, fortran, member)
    return ArrayFile(path, start + offset, shape, fortran)


def _read_head(path: Path, head: bytes, length: int) -> tuple[tuple[int, ...], bool, int]:
    """Returns shape, whether it is in Fortran order, and where the numbers begin.

    Args:
        path: The file, for messages.
        head: Its beginning.
        length: Bytes of the whole array file.
    """
    stream = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(stream)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = readers[version](stream)
    except _DAMAGE as error:
        raise _damaged(path, str(error).partition("\n")[0]) from error
    if dtype.hasobject:
        raise DataError(f"{path}: contains Python objects; refusing to load")
    is_video = len(shape) == 5 and min(shape) > 0 and (shape[4] in (1, 3) or shape[2] in (1, 3))
    if dtype != np.uint8 or not is_video:
        expected = "uint8 (N,T,H,W,C) or (N,T,C,H,W)"
        raise DataError(f"{path}: expected {expected}, got {dtype} {shape}")
    have, need = length - stream.tell(), prod(shape)
    if have < need:
        raise _damaged(path, f"{have} bytes of numbers where {shape} needs {need}")
    return shape, fortran, stream.tell()


def _damaged(path: Path, detail: str) -> DataError:
    return DataError(f"{path}: damaged array ({detail})")
