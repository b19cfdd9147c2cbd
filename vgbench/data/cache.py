"""Reading a prepared cache: frames in memory-mapped shards.

A cache is a folder with `vgcache.json` (what it is), `index.npz` (one row per video), the shards,
`quarantine.csv` (what was refused) and `prepare.log`. A raw shard is a plain `.npy` of uint8
(F, R, R, 3); a packed one is a `.jpgs` of concatenated JPEGs with an `.idx.npy` of their F + 1
uint64 offsets. A video never crosses shards. A cache is written once and never changed; its key
names its content. Mapped pages count as resident memory in some tools; the system takes them back
at will.
"""

import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped, UInt8, UInt64
from numpy import ndarray
from PIL import Image

from vgbench.data.config import CacheConfig, read_manifest
from vgbench.data.hashing import hash_lines
from vgbench.errors import DataError
from vgbench.types import VideoMeta

INDEX = "index.npz"
QUARANTINE = "quarantine.csv"
SPLITS = ("train", "val", "test")
_OPEN_SHARDS = 64  # well below the usual limit of 1024 descriptors


def shard_files(number: int, codec: str) -> tuple[str, ...]:
    """Returns the file names of a shard, the one with the frames first."""
    stem = f"shard-{number:05d}"
    return (f"{stem}.npy",) if codec == "raw" else (f"{stem}.jpgs", f"{stem}.idx.npy")


class RawShard:
    """Frames as they are.

    Args:
        frames: All of them, mapped into memory.
    """

    def __init__(self, frames: UInt8[ndarray, "f r r 3"]) -> None:
        self._frames = np.asarray(frames)  # slicing a memmap costs more than copying a small clip

    def read(self, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t r r 3"]:
        """Returns a copy of the given frames."""
        return np.take(self._frames, frames, axis=0)

    def read_into(self, frames: Int64[ndarray, "t"], out: UInt8[ndarray, "t r r 3"]) -> None:
        """Copies the given frames to `out`."""
        np.take(self._frames, frames, axis=0, out=out, mode="clip")  # other modes copy twice


class JpegShard:
    """Concatenated JPEGs, decoded with Pillow.

    Args:
        path: The file.
        offsets: Where each JPEG begins, and where the last one ends.
    """

    def __init__(self, path: Path, offsets: UInt64[ndarray, "f"]) -> None:
        self._bytes = np.memmap(path, np.uint8, mode="r")
        self._offsets = offsets

    def read(self, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t r r 3"]:
        """Returns the given frames."""
        return np.stack([self._decode(int(frame)) for frame in frames])

    def read_into(self, frames: Int64[ndarray, "t"], out: UInt8[ndarray, "t r r 3"]) -> None:
        """Decodes the given frames to `out`."""
        for row, frame in enumerate(frames.tolist()):
            out[row] = self._decode(frame)

    def _decode(self, frame: int) -> UInt8[ndarray, "r r 3"]:
        begin, end = self._offsets[frame : frame + 2]
        with Image.open(io.BytesIO(self._bytes[begin:end].tobytes())) as picture:
            return np.asarray(picture)


Shard = RawShard | JpegShard


class CacheSource:
    """The videos of a prepared cache. Opens nothing but the index until a frame is read.

    Copies of it in other processes open the shards themselves.

    Args:
        folder: Cache folder.
        split: `train`, `val` or `test`; None takes all videos.

    Raises:
        DataError: If the cache is incomplete or damaged, or the split is empty.
    """

    def __init__(self, folder: Path, split: str | None = "train") -> None:
        self._folder, self._split, self._pid = folder, split, os.getpid()
        self._manifest = read_manifest(folder)
        self._shards: OrderedDict[int, Shard] = OrderedDict()
        self._index = _of_split(folder, read_index(folder), split)
        for shard in self._manifest["shards"]:
            for name, file in shard["files"].items():
                path = folder / name
                if not path.is_file() or path.stat().st_size != file["bytes"]:
                    raise damaged(folder, name, "missing or of another size")

    @property
    def name(self) -> str:
        """Name of the data set, without the resolution."""
        return str(self._manifest["name"])

    @property
    def fingerprint(self) -> str:
        """The cache key; with the split in it where the cache has several."""
        key = str(self._manifest["key"])
        return hash_lines([key, self._split]) if self._split and self._manifest["split"] else key

    def __len__(self) -> int:
        return len(self._index["video_id"])

    def meta(self, i: int) -> VideoMeta:
        """Returns what is known of video `i`."""
        side, label = self._manifest["resolution"], int(self._index["label"][i])
        return VideoMeta(
            video_id=str(self._index["video_id"][i]),
            n_frames=int(self._index["n_frames"][i]),
            height=side,
            width=side,
            fps=float(self._index["fps"][i]),
            group=str(self._index["group"][i]),
            label=None if label < 0 else label,
        )

    def source_of(self, i: int) -> str:
        """Returns the path of the file that video `i` was made from, relative to the source."""
        return str(self._index["source"][i])

    def read(self, i: int, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns a copy of the given frames of video `i`.

        Raises:
            IndexError: If a frame is outside [0, n_frames).
            DataError: If the shard cannot be read.
        """
        side = int(self._manifest["resolution"])
        out: UInt8[ndarray, "1 t h w 3"] = np.empty((1, len(frames), side, side, 3), np.uint8)
        if len(frames):
            self.read_batch(np.array([i]), np.asarray(frames)[None], out)
        return np.asarray(out[0])

    def read_batch(
        self,
        videos: Int64[ndarray, "n"],
        frames: Int64[ndarray, "n t"],
        out: UInt8[ndarray, "n t h w 3"],
    ) -> None:
        """Writes the given frames of each video to its row of `out`, without a copy between.

        Raises:
            IndexError: If a frame is outside [0, n_frames).
            DataError: If a shard cannot be read.
        """
        index = self._index
        outside = (frames < 0) | (frames >= index["n_frames"][videos][:, None])
        if outside.any():
            row = int(outside.any(axis=1).argmax())
            count = index["n_frames"][videos[row]]
            raise IndexError(f"frames of a {count}-frame video: {frames[row]}")
        places = frames + index["offset"][videos][:, None]
        numbers = index["shard"][videos].tolist()
        if len(set(numbers)) == 1 and out.flags.c_contiguous:
            # all in one shard: one call, as each costs as much as copying a small clip
            self._shard(numbers[0]).read_into(places.ravel(), out.reshape(-1, *out.shape[2:]))
            return
        for row, number in enumerate(numbers):
            self._shard(number).read_into(places[row], out[row])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": OrderedDict()}

    def _shard(self, number: int) -> Shard:
        if self._pid != os.getpid():  # after a fork: share no handle with the parent
            self._pid, self._shards = os.getpid(), OrderedDict()
        # taken out and put back, so that a second thread at worst opens a shard twice
        shard = self._shards.pop(number, None) or self._open(number)
        self._shards[number] = shard
        if len(self._shards) > _OPEN_SHARDS:
            self._shards.popitem(last=False)
        return shard

    def _open(self, number: int) -> Shard:
        names = shard_files(number, self._manifest["options"]["codec"])
        paths = [self._folder / name for name in names]
        try:
            if len(paths) == 1:
                return RawShard(np.load(paths[0], mmap_mode="r", allow_pickle=False))
            return JpegShard(paths[0], np.load(paths[1], allow_pickle=False))
        except (OSError, ValueError) as error:
            raise damaged(self._folder, names[0], str(error)) from error


def read_index(folder: Path) -> Mapping[str, Shaped[ndarray, "n"]]:
    """Returns the columns of the index of the cache in `folder`, one row per video.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with np.load(folder / INDEX, allow_pickle=False) as index:
            return {name: index[name] for name in index}
    except (OSError, ValueError) as error:
        raise damaged(folder, INDEX, str(error)) from error


def damaged(folder: Path, file: str, detail: str) -> DataError:
    """Returns the error of a cache with a bad file."""
    return DataError(
        f"cache {folder} is incomplete or damaged ({file}: {detail}); "
        "run: vgbench data prepare … --resume"
    )


def open_cache(config: CacheConfig, split: str = "train") -> CacheSource:
    """Returns the videos of the cache; the target of `CacheConfig`.

    Raises:
        DataError: If the cache is damaged, is not the one of `config.key`, or has no such split.
    """
    folder = Path(config.path)
    key = read_manifest(folder)["key"]
    if config.key and config.key != key:
        raise DataError(
            f"cache {folder} has changed: its key is {key[:12]}, "
            f"the configuration asks for {config.key[:12]}"
        )
    return CacheSource(folder, split)


def _of_split(
    folder: Path, index: Mapping[str, Shaped[ndarray, "n"]], split: str | None
) -> Mapping[str, Shaped[ndarray, "m"]]:
    if split is None:
        return index
    if split not in SPLITS:
        raise DataError(f"unknown split '{split}'; choose from {', '.join(SPLITS)}")
    chosen = index["split"] == split
    if not chosen.any():
        present = ", ".join(name for name in SPLITS if (index["split"] == name).any())
        raise DataError(
            f"cache {folder} has no split '{split}', only {present}\n"
            "  prepare it with e.g. --split 80:10:10"
        )
    return {name: column[chosen] for name, column in index.items()}
