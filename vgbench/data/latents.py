"""Latents of the frames of a data set, kept on disk: encoded once, trained on many times.

A folder with `latents.npy`, float32 of shape (F, L, D) that is mapped into memory, and
`latents.json`, which says what they are of. The frames are those of the videos in use, one video
after another. It is made whole or not at all, and never changed.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from vgbench.errors import DataError

ABOUT, FRAMES = "latents.json", "latents.npy"
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
    shape: tuple[int, int, int],
    parts: Iterable[Float[Tensor, "_f l d"]],
) -> None:
    """Writes latents to a new folder.

    Args:
        folder: The folder; it appears once all is written.
        origin: What decides them: hashes by name.
        shape: Frames in all, style vectors per frame, numbers per vector.
        parts: The latents, in order.

    Raises:
        DataError: If they cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        _write_frames(temporary / FRAMES, shape, parts)
        about = {"format": FORMAT, "origin": dict(origin)}
        (temporary / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_frames(
    path: Path, shape: tuple[int, int, int], parts: Iterable[Float[Tensor, "_f l d"]]
) -> None:
    written = 0
    file = np.lib.format.open_memmap(path, "w+", np.float32, shape)  # type: ignore[no-untyped-call]
    for part in parts:
        file[written : written + len(part)] = part.float().cpu().numpy()
        written += len(part)
    if written != len(file):
        raise ValueError(f"{written} latents for {len(file)} frames")
    file.flush()


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
