"""Latents of the frames of a data set, kept on disk: encoded once, trained on many times.

A folder with `latents.npy`, float32 of shape (F, L, D) that is mapped into memory, and
`latents.json`, which says what they are of. The frames are those of the videos in use, one video
after another. The folder is there whole or not at all, and never changed; while it is written it
has another name and a `position.json`, by which an interrupted process is continued.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from vgbench.errors import DataError

ABOUT, FRAMES, POSITION = "latents.json", "latents.npy", "position.json"
# Seconds between two notes of how far the writing has come.
_KEEP_S = 10.0
# Raised by one whenever an older reader would misunderstand a newer folder.
FORMAT = 1


class LatentFrames:
    """The latents of the frames of some videos.

    Args:
        folder: Where they are.
        origin: What they must be of, as given to `write_latents`.
        videos: Numbers of the videos in their source.
        lengths: Frames of each.

    Raises:
        DataError: If they are damaged, or of something else.
    """

    def __init__(
        self,
        folder: Path,
        origin: Mapping[str, str],
        videos: Int64[ndarray, "v"],
        lengths: Int64[ndarray, "v"],
    ) -> None:
        _check_origin(folder, origin)
        try:
            # Copy on write, as torch warns of what it could write to but must not.
            self._frames = np.load(folder / FRAMES, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _unusable(folder, f"{FRAMES} is damaged: {error}") from error
        if self._frames.ndim != 3 or len(self._frames) != lengths.sum():
            raise _unusable(folder, f"{FRAMES} is of shape {self._frames.shape}")
        self._first = np.zeros(int(videos.max()) + 1, np.int64)
        self._first[videos] = np.cumsum(lengths) - lengths

    @property
    def all(self) -> Float[Tensor, "f l d"]:
        """The latents of all frames, mapped from disk."""
        return torch.from_numpy(self._frames)

    def read(
        self, videos: Int64[ndarray, "n"], frames: Int64[ndarray, "n t"]
    ) -> Float32[ndarray, "n t l d"]:
        """Returns a copy of the latents of the given frames of each video."""
        places = self._first[videos][:, None] + frames
        return np.asarray(np.take(self._frames, places, axis=0))


def write_latents(
    folder: Path,
    origin: Mapping[str, str],
    frames: int,
    encode: Callable[[int], Iterator[Float[Tensor, "_f l d"]]],
) -> None:
    """Writes latents to a new folder, which appears once all is written.

    What an interrupted call has written lies beside it, and the next call goes on from there.
    One process at a time may write a folder.

    Args:
        folder: The folder.
        origin: What decides them: hashes by name.
        frames: How many frames there are.
        encode: Yields the latents of all frames from the given one on, in parts of any size; it
            is called with the first frame of a part, or with `frames` if none is left.

    Raises:
        DataError: If they cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.part")
    about = {"format": FORMAT, "origin": dict(origin), "frames": frames}
    try:
        _append(partial, about, encode)
        (partial / POSITION).unlink()
        _write_synced(partial / ABOUT, about)
        partial.rename(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error


def _append(
    partial: Path,
    about: Mapping[str, Any],
    encode: Callable[[int], Iterator[Float[Tensor, "_f l d"]]],
) -> None:
    """Writes the frames that are missing, and keeps the position every few seconds."""
    done, size = _position(partial, about)
    with (partial / FRAMES).open("r+b") as file:
        file.truncate(size)
        file.seek(size)

        def keep() -> None:
            file.flush()
            os.fsync(file.fileno())
            _write_synced(partial / POSITION, {**about, "done": done, "size": size})

        kept_s = time.monotonic()
        try:
            for part in encode(done):
                if not done:
                    _write_header(file, (about["frames"], *part.shape[1:]))
                file.write(part.float().contiguous().cpu().numpy().tobytes())
                done, size = done + len(part), file.tell()
                if time.monotonic() - kept_s > _KEEP_S:
                    keep()
                    kept_s = time.monotonic()
        finally:
            keep()
    if done != about["frames"]:
        shutil.rmtree(partial)
        raise ValueError(f"{done} latents for {about['frames']} frames")


def _position(partial: Path, about: Mapping[str, Any]) -> tuple[int, int]:
    """Returns frames and bytes that an interrupted call has kept; makes the folder if none has."""
    try:
        found = json.loads((partial / POSITION).read_text(encoding="utf-8"))
        done, size = int(found.pop("done")), int(found.pop("size"))
        if found == dict(about) and (partial / FRAMES).stat().st_size >= size:
            return done, size
    except (OSError, ValueError, KeyError, AttributeError):
        pass  # there is none, or it is of no use
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / FRAMES).touch()
    return 0, 0


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]


def _write_synced(path: Path, values: Mapping[str, Any]) -> None:
    """Writes JSON, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _check_origin(folder: Path, origin: Mapping[str, str]) -> None:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        number, found = int(about["format"]), dict(about["origin"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(folder, f"{ABOUT} is not readable: {error}") from error
    if number != FORMAT:
        raise _unusable(folder, f"its format is {number}, this vgbench reads {FORMAT}")
    for name in {**origin, **found}:
        mine, other = origin.get(name, "none"), str(found.get(name, "none"))
        if mine != other:
            text = f"they are stale: the {name} was {other[:12]} and is {mine[:12]}"
            raise _unusable(folder, text)


def _unusable(folder: Path, reason: str) -> DataError:
    return DataError(
        f"the latents in {folder} cannot be used: {reason}\n"
        f"  remove the folder, and the frames are encoded again: rm -r {folder}"
    )
