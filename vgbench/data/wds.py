"""WebDataset shards: clips in tar files, for data that is larger than one machine's disk.

`export` cuts every video of a source into clips and writes them, in a random order, to tar files;
a clip is a `.npy` of its frames with a `.json` that says what it is. `wds_loader` reads them.
"""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from vgbench.data.draws import permutation
from vgbench.data.sources import VideoSource
from vgbench.errors import DataError, UsageError

EXPORT_MANIFEST = "wds.json"
_VERSION = 1


@dataclass(frozen=True)
class Exported:
    """What `wds.json` says.

    Attributes:
        version: Version of this layout.
        name: Name of the data set.
        key: Fingerprint of the source.
        fps: Frames per second of the clips.
        height: Rows of pixels.
        width: Columns of pixels.
        shards: File name of each shard and the lengths of its clips in frames.
    """

    version: int
    name: str
    key: str
    fps: float
    height: int
    width: int
    shards: dict[str, list[int]]

    @property
    def clips(self) -> int:
        """Clips in all shards."""
        return sum(map(len, self.shards.values()))


def export(
    source: VideoSource,
    folder: Path,
    *,
    frames: int | None = None,
    stride: int = 1,
    shard_bytes: int = 256 * 2**20,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Writes the videos of `source` as shards; the folder appears whole or not at all.

    Args:
        source: Where the videos are.
        folder: New folder of the shards.
        frames: Frames per clip: a video becomes as many clips as fit one after the other, and its
            tail is dropped. None keeps each video whole.
        stride: Frame step of the clips.
        shard_bytes: A shard ends when it is larger than this.
        progress: Called with the number of clips written and that of all.

    Raises:
        UsageError: If the folder exists.
        DataError: If WebDataset is missing or no video is long enough.
    """
    wds = webdataset()
    if folder.exists():
        raise UsageError(f"{folder} exists; give another folder, or remove it")
    clips = [clip for i in range(len(source)) for clip in _cuts(source, i, frames, stride)]
    if not clips:
        raise DataError(f"no video has the {frames} frames of stride {stride} that a clip needs")
    work = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    work.mkdir(parents=True)
    shards: dict[str, list[int]] = {}
    try:
        pattern = str(work / "shard-%06d.tar")
        with wds.ShardWriter(pattern, maxsize=shard_bytes, verbose=0, mtime=0.0) as writer:
            for number, place in enumerate(permutation(len(clips), 0, "export").tolist()):
                writer.write(_member(source, place, *clips[place]))
                shards.setdefault(Path(writer.fname).name, []).append(len(clips[place][1]))
                progress(number + 1, len(clips))
        meta = source.meta(0)
        size = (meta.fps / stride, meta.height, meta.width)
        exported = Exported(_VERSION, source.name, source.fingerprint, *size, shards)
        (work / EXPORT_MANIFEST).write_text(json.dumps(asdict(exported)), encoding="utf-8")
        work.replace(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return exported


def _cuts(
    source: VideoSource, video: int, frames: int | None, stride: int
) -> Iterator[tuple[int, Int64[ndarray, "t"]]]:
    steps = np.arange(0, source.meta(video).n_frames, stride)
    length = frames or len(steps)
    for first in range(0, len(steps) - length + 1, length):
        yield video, steps[first : first + length]


def _member(
    source: VideoSource, number: int, video: int, frames: Int64[ndarray, "t"]
) -> dict[str, Any]:
    meta = source.meta(video)
    about = {
        "index": number,
        "video": video,
        "video_id": meta.video_id,
        "label": -1 if meta.label is None else meta.label,
        "start": int(frames[0]),
        "frames": len(frames),
    }
    pixels = io.BytesIO()
    np.save(pixels, source.read(video, frames), allow_pickle=False)
    return {
        "__key__": f"{number:09d}",
        "npy": pixels.getvalue(),
        "json": json.dumps(about).encode(),
    }


def read_exported(root: str) -> Exported:
    """Returns the manifest of the shards at `root`, a folder or a URL.

    Raises:
        DataError: If WebDataset is missing, or there is no manifest that this version reads.
    """
    gopen = webdataset().gopen
    path = f"{root.rstrip('/')}/{EXPORT_MANIFEST}"
    try:
        with gopen(path) as file:
            exported = Exported(**json.loads(file.read()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{root} holds no readable export ({EXPORT_MANIFEST}: {error})") from error
    if exported.version != _VERSION:
        raise DataError(
            f"export {root} has version {exported.version}, this vgbench reads {_VERSION}\n"
            "  export it again: vgbench data export NAME --to wds -o DIR"
        )
    return exported


def webdataset() -> Any:
    """Returns the module `webdataset`, which is an extra.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import webdataset as module
    except ImportError as error:
        raise DataError("WebDataset shards need webdataset (pip install vgbench[wds])") from error
    return module
